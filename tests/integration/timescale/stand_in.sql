-- The stand-in extension's script.
CREATE SCHEMA timescaledb_information;
CREATE SCHEMA _timescaledb_catalog;
GRANT USAGE ON SCHEMA timescaledb_information, _timescaledb_catalog TO PUBLIC;
CREATE TABLE timescaledb_information.hypertables (
    hypertable_schema name, hypertable_name name, owner name, num_dimensions smallint, num_chunks bigint,
    compression_enabled boolean, tablespaces name[], primary_dimension name, primary_dimension_type regtype);
CREATE TABLE timescaledb_information.dimensions (
    hypertable_schema name, hypertable_name name, dimension_number bigint, column_name name, column_type regtype,
    dimension_type text, time_interval interval, integer_interval bigint, integer_now_func name,
    num_partitions smallint);
CREATE TABLE timescaledb_information.chunks (
    hypertable_schema name, hypertable_name name, chunk_schema name, chunk_name name, primary_dimension name,
    primary_dimension_type regtype, range_start timestamptz, range_end timestamptz, range_start_integer bigint,
    range_end_integer bigint, is_compressed boolean, chunk_tablespace name, chunk_creation_time timestamptz);
CREATE TABLE timescaledb_information.jobs (
    job_id integer, application_name name, schedule_interval interval, max_runtime interval, max_retries integer,
    retry_period interval, proc_schema name, proc_name name, owner name, scheduled boolean, fixed_schedule boolean,
    config jsonb, next_start timestamptz, initial_start timestamptz, hypertable_schema name, hypertable_name name,
    check_schema name, check_name name);
CREATE TABLE timescaledb_information.job_stats (
    hypertable_schema name, hypertable_name name, job_id integer, last_run_started_at timestamptz,
    last_successful_finish timestamptz, last_run_status text, job_status text, last_run_duration interval,
    next_start timestamptz, total_runs bigint, total_successes bigint, total_failures bigint);
CREATE TABLE timescaledb_information.job_errors (
    job_id integer, proc_schema text, proc_name text, pid integer, start_time timestamptz, finish_time timestamptz,
    sqlerrcode text, err_message text);
CREATE TABLE timescaledb_information.continuous_aggregates (
    hypertable_schema name, hypertable_name name, view_schema name, view_name name, view_owner name,
    materialized_only boolean, compression_enabled boolean, materialization_hypertable_schema name,
    materialization_hypertable_name name, view_definition text, finalized boolean);
CREATE TABLE _timescaledb_catalog.hypertable (id integer, schema_name name, table_name name);
CREATE TABLE _timescaledb_catalog.chunk (id integer, hypertable_id integer, status integer, dropped boolean);
GRANT SELECT ON ALL TABLES IN SCHEMA timescaledb_information, _timescaledb_catalog TO PUBLIC;
CREATE FUNCTION @extschema@.hypertable_size(hypertable regclass) RETURNS bigint LANGUAGE sql
    AS 'SELECT pg_total_relation_size(hypertable) + 1000000';
CREATE FUNCTION @extschema@.approximate_row_count(relation regclass) RETURNS bigint LANGUAGE sql
    AS 'SELECT 4711::bigint';
CREATE FUNCTION @extschema@.hypertable_compression_stats(hypertable regclass) RETURNS TABLE (
    total_chunks bigint, number_compressed_chunks bigint, before_compression_table_bytes bigint,
    before_compression_index_bytes bigint, before_compression_toast_bytes bigint, before_compression_total_bytes bigint,
    after_compression_table_bytes bigint, after_compression_index_bytes bigint, after_compression_toast_bytes bigint,
    after_compression_total_bytes bigint, node_name name) LANGUAGE sql
    AS 'SELECT 3, 2, 0, 0, 0, 760000000, 0, 0, 0, 100000000, NULL::name';
