SELECT h.to_stage, count(*) AS entered, count(*) FILTER (WHERE h.next > h.rank) AS converted, count(*) FILTER (WHERE h.next < 40) AS lost
    FROM (SELECT to_stage, leadscore.stage_rank(to_stage) AS rank, leadscore.stage_rank(lead(to_stage) OVER (PARTITION BY lead_id ORDER BY seq)) AS next FROM crm.stage_history) h
    GROUP BY h.to_stage;
