"""`python -m shop`, in examples/: make the shop's five systems anew, and fill them with made-up people.

`olvido up` runs this once in a clone of the project. Where the systems are, the environment says, by the
variables that olvido.toml names; the marketing service's file is the one argument.
"""

import os
import sys
from pathlib import Path

from shop.people import make_cast
from shop.plan import plan_rows
from shop.systems import systems_at


def main(marketing: Path) -> None:
    """Make and fill them. What was in them is gone."""
    systems = systems_at(
        shop=Path(__file__).parent,
        crm=os.environ["OLVIDO_CRM_DSN"],
        store_cn=Path(os.environ["OLVIDO_STORE_CN_FILE"]),
        store_sg=os.environ["OLVIDO_STORE_SG_DSN"],
        marketing=marketing,
        analytics=Path(os.environ["OLVIDO_ANALYTICS_FILE"]),
    )
    plan = plan_rows(make_cast())
    systems.plant(plan.tables)
    print(f"example shop made: five systems, {plan.rows} rows of people who are made up")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
