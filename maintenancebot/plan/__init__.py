"""The Plan, hub of everything, and one pure planner per subject: findings in, changes out, no I/O."""
