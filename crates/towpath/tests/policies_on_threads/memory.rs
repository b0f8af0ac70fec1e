//! What a stage holds does not grow.
