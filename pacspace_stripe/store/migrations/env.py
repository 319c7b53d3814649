"""The entry of Alembic: it runs the migrations on the connection that the store hands over."""

from alembic import context

from pacspace_stripe.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table="pacspace_alembic_version",
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7221337)")
    context.run_migrations()
if connection.in_transaction():
    connection.commit()
