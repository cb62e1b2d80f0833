-- What the replication pane reads. Positions of a standby that feeds others are what it has received.

-- @name replication_counters @pg 13-13
SELECT extract(epoch FROM clock_timestamp())::float8 AS at, pg_is_in_recovery() AS is_standby,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       extract(epoch FROM b.stats_reset)::float8 AS reset, NULL::float8 AS wal_reset, NULL::float8 AS io_reset,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       '0/0')::float8 AS wal_bytes,
       NULL::float8 AS wal_records, NULL::float8 AS wal_images, NULL::float8 AS wal_buffers_full,
       b.checkpoints_timed::float8 AS timed, b.checkpoints_req::float8 AS requested,
       b.checkpoint_write_time AS write_ms, b.checkpoint_sync_time AS sync_ms,
       b.buffers_checkpoint * s.block AS checkpoint_bytes, b.buffers_clean * s.block AS background_bytes,
       b.buffers_backend * s.block AS backend_bytes, b.buffers_backend_fsync::float8 AS backend_fsyncs,
       b.maxwritten_clean::float8 AS background_stops, a.archived_count::float8 AS archived, a.failed_count::float8 AS failed
  FROM pg_stat_bgwriter b, pg_stat_archiver a, (SELECT current_setting('block_size')::float8 AS block) s;

-- @name replication_counters @pg 14-16
SELECT extract(epoch FROM clock_timestamp())::float8 AS at, pg_is_in_recovery() AS is_standby,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       extract(epoch FROM b.stats_reset)::float8 AS reset, extract(epoch FROM w.stats_reset)::float8 AS wal_reset,
       NULL::float8 AS io_reset,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       '0/0')::float8 AS wal_bytes,
       w.wal_records::float8 AS wal_records, w.wal_fpi::float8 AS wal_images, w.wal_buffers_full::float8 AS wal_buffers_full,
       b.checkpoints_timed::float8 AS timed, b.checkpoints_req::float8 AS requested,
       b.checkpoint_write_time AS write_ms, b.checkpoint_sync_time AS sync_ms,
       b.buffers_checkpoint * s.block AS checkpoint_bytes, b.buffers_clean * s.block AS background_bytes,
       b.buffers_backend * s.block AS backend_bytes, b.buffers_backend_fsync::float8 AS backend_fsyncs,
       b.maxwritten_clean::float8 AS background_stops, a.archived_count::float8 AS archived, a.failed_count::float8 AS failed
  FROM pg_stat_bgwriter b, pg_stat_wal w, pg_stat_archiver a, (SELECT current_setting('block_size')::float8 AS block) s;

-- @name replication_counters @pg 17-17
SELECT extract(epoch FROM clock_timestamp())::float8 AS at, pg_is_in_recovery() AS is_standby,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       extract(epoch FROM c.stats_reset)::float8 AS reset, extract(epoch FROM w.stats_reset)::float8 AS wal_reset,
       i.reset AS io_reset,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       '0/0')::float8 AS wal_bytes,
       w.wal_records::float8 AS wal_records, w.wal_fpi::float8 AS wal_images, w.wal_buffers_full::float8 AS wal_buffers_full,
       (c.num_timed + c.restartpoints_timed)::float8 AS timed, (c.num_requested + c.restartpoints_req)::float8 AS requested,
       c.write_time AS write_ms, c.sync_time AS sync_ms,
       c.buffers_written * s.block AS checkpoint_bytes, b.buffers_clean * s.block AS background_bytes,
       i.bytes AS backend_bytes, i.fsyncs AS backend_fsyncs,
       b.maxwritten_clean::float8 AS background_stops, a.archived_count::float8 AS archived, a.failed_count::float8 AS failed
  FROM pg_stat_checkpointer c, pg_stat_bgwriter b, pg_stat_wal w, pg_stat_archiver a,
       (SELECT current_setting('block_size')::float8 AS block) s,
       (SELECT coalesce(sum(writes * op_bytes), 0)::float8 AS bytes, coalesce(sum(fsyncs), 0)::float8 AS fsyncs,
               extract(epoch FROM max(stats_reset))::float8 AS reset
          FROM pg_stat_io WHERE backend_type = 'client backend' AND object = 'relation') i;

-- @name replication_counters @pg 18-18
SELECT extract(epoch FROM clock_timestamp())::float8 AS at, pg_is_in_recovery() AS is_standby,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       extract(epoch FROM c.stats_reset)::float8 AS reset, extract(epoch FROM w.stats_reset)::float8 AS wal_reset,
       i.reset AS io_reset,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       '0/0')::float8 AS wal_bytes,
       w.wal_records::float8 AS wal_records, w.wal_fpi::float8 AS wal_images, w.wal_buffers_full::float8 AS wal_buffers_full,
       (c.num_timed + c.restartpoints_timed)::float8 AS timed, (c.num_requested + c.restartpoints_req)::float8 AS requested,
       c.write_time AS write_ms, c.sync_time AS sync_ms,
       c.buffers_written * s.block AS checkpoint_bytes, b.buffers_clean * s.block AS background_bytes,
       i.bytes AS backend_bytes, i.fsyncs AS backend_fsyncs,
       b.maxwritten_clean::float8 AS background_stops, a.archived_count::float8 AS archived, a.failed_count::float8 AS failed
  FROM pg_stat_checkpointer c, pg_stat_bgwriter b, pg_stat_wal w, pg_stat_archiver a,
       (SELECT current_setting('block_size')::float8 AS block) s,
       (SELECT coalesce(sum(write_bytes), 0)::float8 AS bytes, coalesce(sum(fsyncs), 0)::float8 AS fsyncs,
               extract(epoch FROM max(stats_reset))::float8 AS reset
          FROM pg_stat_io WHERE backend_type = 'client backend' AND object = 'relation') i;

-- @name replication_checkpoint @pg 13-18
SELECT extract(epoch FROM clock_timestamp() - checkpoint_time)::float8 AS age_s,
       current_setting('checkpoint_timeout') AS every, current_setting('max_wal_size') AS most
  FROM pg_control_checkpoint();

-- @name replication_archiver @pg 13-18
SELECT current_setting('archive_mode') <> 'off' AS is_on,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS is_failing,
       extract(epoch FROM clock_timestamp() - last_archived_time)::float8 AS archived_s_ago,
       extract(epoch FROM clock_timestamp() - last_failed_time)::float8 AS failed_s_ago, last_failed_wal
  FROM pg_stat_archiver;

-- @name replication_wal_files @pg 13-18
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM pg_ls_waldir();

-- @name replication_standbys @pg 13-18
WITH here AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn
)
SELECT r.pid, r.usename::text AS usr, coalesce(nullif(r.application_name, ''), '-') AS name,
       coalesce(host(r.client_addr), 'local') AS client, r.state, r.sync_state,
       pg_wal_lsn_diff(here.lsn, r.sent_lsn)::float8   AS send_bytes,
       pg_wal_lsn_diff(r.sent_lsn, r.write_lsn)::float8  AS write_bytes,
       pg_wal_lsn_diff(r.write_lsn, r.flush_lsn)::float8 AS flush_bytes,
       pg_wal_lsn_diff(r.flush_lsn, r.replay_lsn)::float8 AS replay_bytes,
       pg_wal_lsn_diff(here.lsn, r.replay_lsn)::float8 AS behind_bytes,
       extract(epoch FROM r.write_lag)::float8 AS write_s, extract(epoch FROM r.flush_lag)::float8 AS flush_s,
       extract(epoch FROM r.replay_lag)::float8 AS replay_s,
       extract(epoch FROM clock_timestamp() - r.reply_time)::float8 AS silent_s
  FROM pg_stat_replication r, here ORDER BY behind_bytes DESC NULLS FIRST, name, pid;

-- @name replication_slots @pg 13-15
SELECT slot_name::text AS name, slot_type AS kind, coalesce(database::text, '') AS database,
       coalesce(plugin::text, '') AS plugin, active AS is_active, coalesce(wal_status, '') AS wal_status, safe_wal_size,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::bigint AS retained_bytes,
       greatest(age(xmin), age(catalog_xmin)) AS xmin_age, '' AS invalid, NULL::float8 AS inactive_s
  FROM pg_replication_slots ORDER BY retained_bytes DESC NULLS LAST, name;

-- @name replication_slots @pg 16-16
SELECT slot_name::text AS name, slot_type AS kind, coalesce(database::text, '') AS database,
       coalesce(plugin::text, '') AS plugin, active AS is_active, coalesce(wal_status, '') AS wal_status, safe_wal_size,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::bigint AS retained_bytes,
       greatest(age(xmin), age(catalog_xmin)) AS xmin_age,
       CASE WHEN conflicting THEN 'conflict with recovery' ELSE '' END AS invalid, NULL::float8 AS inactive_s
  FROM pg_replication_slots ORDER BY retained_bytes DESC NULLS LAST, name;

-- @name replication_slots @pg 17-18
SELECT slot_name::text AS name, slot_type AS kind, coalesce(database::text, '') AS database,
       coalesce(plugin::text, '') AS plugin, active AS is_active, coalesce(wal_status, '') AS wal_status, safe_wal_size,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::bigint AS retained_bytes,
       greatest(age(xmin), age(catalog_xmin)) AS xmin_age, coalesce(replace(invalidation_reason, '_', ' '), '') AS invalid,
       extract(epoch FROM clock_timestamp() - inactive_since)::float8 AS inactive_s
  FROM pg_replication_slots ORDER BY retained_bytes DESC NULLS LAST, name;

-- @name replication_receiver @pg 13-18
SELECT (SELECT count(*) FROM pg_stat_wal_receiver) AS receivers, r.status, coalesce(r.sender_host, '') AS host,
       r.sender_port AS port, coalesce(r.slot_name, '') AS slot,
       extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time)::float8 AS silent_s,
       pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 AS behind_bytes,
       CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8 AS replay_s,
       pg_is_wal_replay_paused() AS is_paused
  FROM (SELECT) one LEFT JOIN pg_stat_wal_receiver r ON true;

-- @name replication_conflicts @pg 13-15
SELECT sum(confl_tablespace)::float8 AS tablespace, sum(confl_lock)::float8 AS lock, sum(confl_snapshot)::float8 AS snapshot,
       sum(confl_bufferpin)::float8 AS bufferpin, sum(confl_deadlock)::float8 AS deadlock
  FROM pg_stat_database_conflicts;

-- @name replication_conflicts @pg 16-18
SELECT sum(confl_tablespace)::float8 AS tablespace, sum(confl_lock)::float8 AS lock, sum(confl_snapshot)::float8 AS snapshot,
       sum(confl_bufferpin)::float8 AS bufferpin, sum(confl_deadlock)::float8 AS deadlock,
       sum(confl_active_logicalslot)::float8 AS logical_slot
  FROM pg_stat_database_conflicts;

-- @name replication_subscriptions @pg 13-14
SELECT s.subname::text AS name, s.subenabled AS is_enabled, t.pid,
       extract(epoch FROM clock_timestamp() - t.last_msg_receipt_time)::float8 AS silent_s,
       (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid) AS tables,
       (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate <> 'r') AS copying,
       NULL::bigint AS apply_errors, NULL::bigint AS sync_errors
  FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
  LEFT JOIN pg_stat_subscription t ON t.subid = s.oid AND t.relid IS NULL
 ORDER BY 1;

-- @name replication_subscriptions @pg 15-18
SELECT s.subname::text AS name, s.subenabled AS is_enabled, t.pid,
       extract(epoch FROM clock_timestamp() - t.last_msg_receipt_time)::float8 AS silent_s,
       (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid) AS tables,
       (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate <> 'r') AS copying,
       e.apply_error_count AS apply_errors, e.sync_error_count AS sync_errors
  FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
  LEFT JOIN (SELECT DISTINCT ON (subid) * FROM pg_stat_subscription WHERE relid IS NULL
              ORDER BY subid, latest_end_lsn DESC NULLS LAST) t ON t.subid = s.oid
  LEFT JOIN pg_stat_subscription_stats e ON e.subid = s.oid
 ORDER BY 1;
