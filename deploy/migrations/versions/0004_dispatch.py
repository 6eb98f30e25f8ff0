"""Tables owned by `services.dispatch`: deliveries (inbox and journal), holds (kill switches)."""

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
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("provider_id", sa.Text),
        sa.Column("command", sa.Text, nullable=False),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("deliveries_due", "deliveries", ["channel", "due_at"], postgresql_where=due, sqlite_where=due)
    op.create_index("deliveries_customer", "deliveries", ["customer"])
    op.create_table(
        "holds",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("held_at", sa.BigInteger, nullable=False),
        sa.Column("held_by", sa.Text, nullable=False),
    )
