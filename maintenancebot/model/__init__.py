"""The nouns of the product: Host -> Finding -> Change -> Decision -> Outcome -> Report.

Values only: frozen, without I/O, known to everybody and knowing nobody.
"""

from maintenancebot.model.nouns import (
    Change,
    ChangeReport,
    Decision,
    Finding,
    Host,
    HostFacts,
    HostReport,
    Json,
    Mount,
    Outcome,
    Report,
    Step,
    TaskReport,
)
from maintenancebot.model.words import (
    GUARD_REASONS,
    Action,
    Autonomy,
    Level,
    Reason,
    Risk,
    State,
    TaskType,
    Undo,
    worst,
)

__all__ = [
    "GUARD_REASONS",
    "Action",
    "Autonomy",
    "Change",
    "ChangeReport",
    "Decision",
    "Finding",
    "Host",
    "HostFacts",
    "HostReport",
    "Json",
    "Level",
    "Mount",
    "Outcome",
    "Reason",
    "Report",
    "Risk",
    "State",
    "Step",
    "TaskReport",
    "TaskType",
    "Undo",
    "worst",
]
