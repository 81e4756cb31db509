"""The wanted updates of one look at a host, whichever package manager tells of them."""


class Updates(list):
    """Updates as findings carry them; `status` says what stands in the way of each."""

    def free(self):
        """The updates that nothing stands in the way of."""
        return [told for told in self if told["status"] == "due"]

    def mark(self, details, status="blocked"):
        """Give free updates a status, by package name."""
        for told in self.free():
            if told["name"] in details:
                told["status"], told["detail"] = status, details[told["name"]]

    def tell(self, out, facts):
        """Stream them all, and say how many are due."""
        for told in self:
            out.finding("package", told["name"], **told)
        facts.update(due=len(self.free()), no_space=[])
