/* leadscore 0.2 -> 0.3: the metrics views, which are part of pipelines */

-- complain if the script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION leadscore UPDATE TO '0.3'" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

