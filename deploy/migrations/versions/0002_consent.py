"""Tables owned by `services.consent`: consents (current state), consent_ledger (every change), suppressions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "consents",
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "consent_ledger",
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("entry", sa.Text, primary_key=True),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stated_at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
    )
    op.create_index("consent_ledger_customer", "consent_ledger", ["bucket", "customer", "recorded_at"])
    op.create_table(
        "suppressions",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("customer", sa.Text),
        sa.Column("message_id", sa.Text),
        sa.Column("suppressed_at", sa.BigInteger, nullable=False),
    )
