"""Tables owned by `services.rules`: customers, history, decisions, outbox, active_ruleset.

`bucket` is murmur2 of the customer mod 1024, part of every key so that the tables can be partitioned or distributed by it.
`seq` is the customer's own count of inputs: history and decisions of one input share it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    _create_customers()
    _create_history()
    _create_decisions()
    _create_outbox()
    _create_active_ruleset()


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("next_due_at", sa.BigInteger),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE customers ALTER COLUMN document SET STORAGE EXTERNAL")  # documents come packed: trying again is lost work
        # Room on each page for a row's next version, and documents of up to half a page in their rows: most updates then touch no index
        # and no second table.
        op.execute("ALTER TABLE customers SET (fillfactor = 50, toast_tuple_target = 4080)")
    op.create_index(
        "customers_due",
        "customers",
        ["next_due_at", "bucket"],
        postgresql_where=sa.text("next_due_at IS NOT NULL"),
        sqlite_where=sa.text("next_due_at IS NOT NULL"),
    )


def _create_history() -> None:
    op.create_table(
        "history",
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("input_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("ruleset", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    # A customer's first thousand inputs are found by the primary key; most customers have no more, and their rows cost no index.
    many = sa.text("seq > 1000")
    op.create_index("history_input", "history", ["bucket", "customer", "input_id"], postgresql_where=many, sqlite_where=many)


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("journey", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("ruleset", sa.Text, nullable=False),
        sa.Column("input_id", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("message_id", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("traceparent", sa.Text),
    )


def _create_active_ruleset() -> None:
    op.create_table(
        "active_ruleset",
        sa.Column("activation", sa.BigInteger, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("activated_at", sa.BigInteger, nullable=False),
        sa.Column("activated_by", sa.Text, nullable=False),
    )
