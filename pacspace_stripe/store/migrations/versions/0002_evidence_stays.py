"""Evidence is append-only: the database itself refuses to change or delete a row of it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SAYS = "pacspace_evidence is append-only"
_KEPT = "pacspace_evidence_kept"
_SQLITE = {
    "update": "BEFORE UPDATE ON pacspace_evidence",
    "delete": "BEFORE DELETE ON pacspace_evidence",
    # REPLACE deletes the row in its way without telling the trigger above.
    "replace": (
        "BEFORE INSERT ON pacspace_evidence WHEN EXISTS (SELECT 1 FROM pacspace_evidence "
        "WHERE (chain_id = NEW.chain_id AND sequence = NEW.sequence) OR sha256 = NEW.sha256)"
    ),
}
_POSTGRESQL = {
    "row": "BEFORE UPDATE OR DELETE ON pacspace_evidence FOR EACH ROW",
    "table": "BEFORE TRUNCATE ON pacspace_evidence FOR EACH STATEMENT",
}


def upgrade() -> None:
    """Create the triggers."""
    if op.get_bind().dialect.name == "postgresql":
        refusal = f"RAISE EXCEPTION '{_SAYS}' USING ERRCODE = 'integrity_constraint_violation';"
        op.execute(f"CREATE FUNCTION {_KEPT}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {refusal} END $$")
        for name, when in _POSTGRESQL.items():
            op.execute(f"CREATE TRIGGER {_KEPT}_{name} {when} EXECUTE FUNCTION {_KEPT}()")
    else:
        for name, when in _SQLITE.items():
            op.execute(f"CREATE TRIGGER {_KEPT}_{name} {when} BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END")


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "postgresql":
        for name in _POSTGRESQL:
            op.execute(f"DROP TRIGGER {_KEPT}_{name} ON pacspace_evidence")
        op.execute(f"DROP FUNCTION {_KEPT}()")
    else:
        for name in _SQLITE:
            op.execute(f"DROP TRIGGER {_KEPT}_{name}")
