"""What a target that has tables can do: the one list of actions that a module here carries out."""

from collections.abc import Mapping

from olvido.core.rights.names import Action
from olvido.sinks.rights.consent import ConsentInTables
from olvido.sinks.rights.contract import RightInTables
from olvido.sinks.rights.erase import EraseInTables
from olvido.sinks.rights.lift_restriction import LiftRestrictionInTables
from olvido.sinks.rights.not_covered import NotCovered
from olvido.sinks.rights.object import ObjectInTables
from olvido.sinks.rights.restrict import RestrictInTables
from olvido.sinks.rights.withdraw_objection import WithdrawObjectionInTables

_COVERED: Mapping[Action, RightInTables] = {
    # In the order of the work. A consent change looks whether an objection stands, so objections are
    # recorded and taken back before it. A restriction is lifted after older ones are set. Rows are
    # destroyed when nothing else of the batch sets columns in them.
    Action.OBJECT: ObjectInTables(),
    Action.WITHDRAW_OBJECTION: WithdrawObjectionInTables(),
    Action.CONSENT: ConsentInTables(),
    Action.RESTRICT: RestrictInTables(),
    Action.LIFT_RESTRICTION: LiftRestrictionInTables(),
    Action.ERASE: EraseInTables(),
}
IN_TABLES: Mapping[Action, RightInTables] = {
    **_COVERED,
    **{action: NotCovered() for action in Action if action not in _COVERED},
}
