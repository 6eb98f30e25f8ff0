"""Tables owned by `services.dispatch`: deliveries (inbox and journal), holds (kill switches).

`due_at` is set while a message waits (also for the end of its life, while it is held), `lease_until` while a worker has it. A lease is
measured by the machine's clock, every other time by the clock port: processes die in real time, also in a time-lapse run.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "deliveries",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("journey", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("ambiguous", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("claim", sa.Text),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("recall_reason", sa.Text),
        sa.Column("provider_id", sa.Text),
        sa.Column("command", sa.Text, nullable=False),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("deliveries_due", "deliveries", ["channel", "due_at"], postgresql_where=due, sqlite_where=due)
    leased = sa.text("lease_until IS NOT NULL")
    op.create_index("deliveries_leased", "deliveries", ["lease_until"], postgresql_where=leased, sqlite_where=leased)
    held = sa.text("reason = 'held'")
    op.create_index("deliveries_held", "deliveries", ["channel"], postgresql_where=held, sqlite_where=held)
    op.create_index("deliveries_customer", "deliveries", ["customer"])
    op.create_table(
        "holds",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("held_at", sa.BigInteger, nullable=False),
        sa.Column("held_by", sa.Text, nullable=False),
    )
