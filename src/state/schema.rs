//! The store's tables, as `migrations/` lays them. A test compares the two.

diesel::table! {
    workspace (id) {
        id -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    jobs (id) {
        id -> Text,
        file -> Text,
        fingerprint -> Text,
        schedule_fingerprint -> Text,
        owner -> Text,
        first_seen_at -> Timestamp,
        schedule_noticed_at -> Timestamp,
        active_since -> Nullable<Timestamp>,
        status -> Text,
        status_changed_at -> Timestamp,
        paused_until -> Nullable<Timestamp>,
        consecutive_failures -> BigInt,
        success_count -> BigInt,
        failure_count -> BigInt,
        cancelled_count -> BigInt,
        last_run_id -> Nullable<Text>,
        last_run_at -> Nullable<Timestamp>,
        last_run_status -> Nullable<Text>,
        last_success_at -> Nullable<Timestamp>,
        next_run_at -> Nullable<Timestamp>,
        sources_failing -> Text,
    }
}

diesel::table! {
    runs (id) {
        id -> Text,
        job -> Text,
        status -> Text,
        triggered_by -> Text,
        slot -> Nullable<Text>,
        started_at -> Timestamp,
        completed_at -> Nullable<Timestamp>,
        execution_time_seconds -> Nullable<Double>,
        exit_code -> Nullable<BigInt>,
        data_sources_processed -> Text,
        data_sources_failed -> Text,
        data_sources_skipped -> Text,
        total_records_processed -> BigInt,
        total_records_added -> BigInt,
        total_records_updated -> BigInt,
        total_records_deleted -> BigInt,
        total_records_rejected -> BigInt,
        bytes_read -> BigInt,
        retry_count -> BigInt,
        peak_memory_usage_mb -> Nullable<Double>,
        cpu_time_seconds -> Nullable<Double>,
        error_message -> Nullable<Text>,
        error_details -> Nullable<Text>,
        is_interrupted -> Bool,
        host -> Text,
        pid -> BigInt,
        process_start -> Text,
        username -> Text,
        version -> Text,
    }
}

diesel::table! {
    run_sources (run_id, source) {
        run_id -> Text,
        source -> Text,
        position -> BigInt,
        status -> Text,
        attempt -> BigInt,
        records_added -> BigInt,
        records_updated -> BigInt,
        records_unchanged -> BigInt,
        records_folded -> BigInt,
        records_skipped -> BigInt,
        records_rejected -> BigInt,
        records_deleted -> BigInt,
        bytes_read -> BigInt,
        duration_seconds -> Nullable<Double>,
        cpu_time_seconds -> Nullable<Double>,
        peak_memory_usage_mb -> Nullable<Double>,
        rejects_path -> Nullable<Text>,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        error_hint -> Nullable<Text>,
    }
}

diesel::table! {
    run_streams (run_id, source, stream) {
        run_id -> Text,
        source -> Text,
        stream -> Text,
        target -> Text,
        position -> BigInt,
        status -> Text,
        attempt -> BigInt,
        mode -> Nullable<Text>,
        records_added -> BigInt,
        records_updated -> BigInt,
        records_unchanged -> BigInt,
        records_folded -> BigInt,
        records_skipped -> BigInt,
        records_rejected -> BigInt,
        records_deleted -> BigInt,
        rows_in_target -> Nullable<BigInt>,
        bytes_read -> BigInt,
        duration_seconds -> Nullable<Double>,
        load_version -> Nullable<BigInt>,
        cursor_text -> Nullable<Text>,
        schema_changes -> Text,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        error_hint -> Nullable<Text>,
    }
}

diesel::table! {
    run_events (run_id, sequence) {
        run_id -> Text,
        sequence -> BigInt,
        at -> Timestamp,
        level -> Text,
        source -> Nullable<Text>,
        stream -> Nullable<Text>,
        message -> Text,
    }
}

diesel::table! {
    slots (job, slot) {
        job -> Text,
        slot -> Text,
        due_at -> Timestamp,
        status -> Text,
        run_id -> Nullable<Text>,
        claim_count -> BigInt,
        slot_count -> BigInt,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    leases (job) {
        job -> Text,
        run_id -> Text,
        host -> Text,
        pid -> BigInt,
        process_start -> Text,
        boot_id -> Text,
        renewed_boot_micros -> BigInt,
        renewed_at -> Timestamp,
        progress -> Text,
        cancel_requested_at -> Nullable<Timestamp>,
        cancel_requested_by -> Nullable<Text>,
    }
}

diesel::table! {
    audit (id) {
        id -> Text,
        at -> Timestamp,
        username -> Text,
        host -> Text,
        action -> Text,
        job -> Nullable<Text>,
        run_id -> Nullable<Text>,
        details -> Nullable<Text>,
    }
}

diesel::table! {
    outbox (id) {
        id -> Text,
        job -> Text,
        run_id -> Nullable<Text>,
        channel -> Text,
        recipient -> Text,
        kind -> Text,
        body -> Text,
        created_at -> Timestamp,
        due_at -> Timestamp,
        expires_at -> Timestamp,
        attempt -> BigInt,
        leased_by -> Nullable<Text>,
        leased_until -> Nullable<Timestamp>,
        last_error -> Nullable<Text>,
        sent_at -> Nullable<Timestamp>,
        closed_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    told (job, kind, cause) {
        job -> Text,
        kind -> Text,
        cause -> Text,
        sources -> Text,
        told_at -> Timestamp,
    }
}

diesel::joinable!(leases -> runs (run_id));
diesel::joinable!(run_sources -> runs (run_id));
diesel::allow_columns_to_appear_in_same_group_by_clause!(runs::job, runs::status, runs::is_interrupted);
diesel::allow_columns_to_appear_in_same_group_by_clause!(run_sources::source, run_sources::status);
diesel::allow_columns_to_appear_in_same_group_by_clause!(run_sources::source, run_sources::error_code);
diesel::allow_columns_to_appear_in_same_group_by_clause!(run_streams::source, run_streams::error_code);
diesel::allow_columns_to_appear_in_same_group_by_clause!(runs::job, run_streams::source);
diesel::allow_columns_to_appear_in_same_group_by_clause!(runs::job, run_streams::stream);
diesel::allow_columns_to_appear_in_same_group_by_clause!(runs::job, run_streams::target);
diesel::allow_tables_to_appear_in_same_query!(jobs, leases, run_sources, run_streams, run_events, runs, slots, told);
