"""Tables owned by `services.ingest`: api_key_former. Write keys get limits, a rotation with time to change over, and their last use."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of former secrets; add columns whose defaults change nothing for the keys that are there."""
    op.add_column("api_keys", sa.Column("rate", sa.Integer, nullable=False, server_default="0"))
    op.add_column("api_keys", sa.Column("origins", sa.Text, nullable=False, server_default=""))
    op.add_column("api_keys", sa.Column("require_signature", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("api_keys", sa.Column("rotated_at", sa.BigInteger))
    op.add_column("api_keys", sa.Column("last_used_at", sa.BigInteger))
    op.create_table(
        "api_key_former",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, index=True),
        sa.Column("good_until", sa.BigInteger, nullable=False),
    )
