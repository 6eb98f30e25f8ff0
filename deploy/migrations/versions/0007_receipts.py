"""A text message is found by its gateway's id of it, for callbacks that know no other. Only text messages: no mail pays for the index."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    where = sa.text("channel = 'sms' AND provider_id IS NOT NULL")
    op.create_index("deliveries_sms_provider_id", "deliveries", ["provider_id"], postgresql_where=where, sqlite_where=where)
