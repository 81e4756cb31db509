"""Files by descriptor: walked, opened, copied and renamed so that no link, mount or race leads astray."""
