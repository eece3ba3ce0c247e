-- What the columns of an export of a CRM mean. A mapping is data: that of
-- another CRM is another object of this shape, which import_crm() takes.
--
--   record_id, email, phone   headers; of several the first that is not blank
--   created_at, basis         counts. Capital letters, blanks and punctuation of
--                             headers do not matter
--   record_id_length          so many characters of the record ID name the record
--   columns, profile          columns of lead, and keys of its profile, with headers
--   stages                    stages, each with the headers of the date it began on
--   stage                     where the record is now: headers, and a stage for each
--                             value. Null: a value that says nothing of a stage
--   basis_values              legal grounds in the same way
--   opt_outs                  headers of what is refused, with the channel. Without
--                             values any yes refuses. prefix: the rest of the header
--                             is the topic. at: headers of when. reason: unsubscribed,
--                             or bounced
--   opt_ins                   headers of what is allowed, with the channel and values
CREATE OR REPLACE FUNCTION import_mapping(source text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE lower(btrim(source) COLLATE "C")
    WHEN 'hubspot' THEN jsonb '{
        "record_id": ["Record ID", "Record ID - Contact", "Contact ID"],
        "email": ["Email"],
        "phone": ["Phone Number", "Mobile Phone Number"],
        "created_at": ["Create Date"],
        "columns": {"organization": ["Company Name", "Associated Company"], "country": ["Country/Region"], "language": ["Preferred language"],
            "time_zone": ["Time Zone"], "channel": ["Original Source", "Original Traffic Source"], "owner": ["Contact owner"]},
        "profile": {"first_name": ["First Name"], "last_name": ["Last Name"], "job_title": ["Job Title"], "job_function": ["Job function"],
            "industry": ["Industry"], "city": ["City"]},
        "stages": {
            "iql": ["Became a Lead Date", "Date entered Lead (Lifecycle Stage Pipeline)"],
            "mql": ["Became a Marketing Qualified Lead Date", "Date entered Marketing Qualified Lead (Lifecycle Stage Pipeline)"],
            "sql": ["Became a Sales Qualified Lead Date", "Date entered Sales Qualified Lead (Lifecycle Stage Pipeline)"],
            "prospect": ["Became an Opportunity Date", "Date entered Opportunity (Lifecycle Stage Pipeline)"],
            "customer": ["Became a Customer Date", "Date entered Customer (Lifecycle Stage Pipeline)"],
            "advocate": ["Became an Evangelist Date", "Date entered Evangelist (Lifecycle Stage Pipeline)"]},
        "stage": {"headers": ["Lifecycle Stage"], "values": {"Subscriber": null, "Lead": "iql", "Marketing Qualified Lead": "mql",
            "Sales Qualified Lead": "sql", "Opportunity": "prospect", "Customer": "customer", "Evangelist": "advocate", "Other": null}},
        "basis": ["Legal basis for processing contact''s data"],
        "basis_values": {"Freely given consent from contact": "consent", "Performance of a contract": "contract",
            "Legitimate interest - prospect/lead": "legitimate_interest", "Legitimate interest - existing customer": "legitimate_interest",
            "Legitimate interest - other": "legitimate_interest", "Not applicable": null},
        "opt_outs": [
            {"headers": ["Unsubscribed from all email", "Opted out of all email"], "channel": "email"},
            {"prefix": "Opted out of email:", "channel": "email"},
            {"headers": ["Email hard bounce reason"], "channel": "email", "reason": "bounced", "any": true}],
        "opt_ins": [{"headers": ["Marketing email confirmation status"], "channel": "email", "values": ["Confirmed"]}]}'
    WHEN 'salesforce' THEN jsonb '{
        "record_id": ["Lead ID", "Contact ID", "Id"],
        "record_id_length": 15,
        "email": ["Email"],
        "phone": ["Phone", "Mobile", "Mobile Phone"],
        "created_at": ["Create Date", "Created Date"],
        "columns": {"organization": ["Company / Account", "Company", "Account Name"], "country": ["Country", "Mailing Country"],
            "channel": ["Lead Source"], "owner": ["Lead Owner", "Contact Owner", "Owner"]},
        "profile": {"first_name": ["First Name"], "last_name": ["Last Name"], "job_title": ["Title"], "industry": ["Industry"], "rating": ["Rating"],
            "city": ["City", "Mailing City"]},
        "stages": {"prospect": ["Converted Date"]},
        "stage": {"headers": ["Lead Status", "Status"], "values": {"New": "iql", "Open": "iql", "Open - Not Contacted": "iql", "Contacted": null,
            "Working": null, "Working - Contacted": null, "Nurturing": "recycled", "Qualified": "sql", "Closed - Converted": "prospect",
            "Unqualified": "disqualified", "Closed - Not Converted": "disqualified"}},
        "opt_outs": [
            {"headers": ["Email Opt Out", "Has Opted Out Of Email"], "channel": "email"},
            {"headers": ["Do Not Call"], "channel": "phone"},
            {"headers": ["Email Bounced Reason"], "at": ["Email Bounced Date"], "channel": "email", "reason": "bounced", "any": true}]}'
    WHEN 'pipedrive' THEN jsonb '{
        "record_id": ["Person - ID", "ID"],
        "email": ["Person - Email - Work", "Person - Email - Home", "Person - Email - Other", "Person - Email", "Email"],
        "phone": ["Person - Phone - Work", "Person - Phone - Mobile", "Person - Phone - Home", "Person - Phone", "Phone"],
        "created_at": ["Person - Person created", "Person - Created", "Person - Add time", "Person created"],
        "columns": {"organization": ["Person - Organization", "Organization"], "owner": ["Person - Owner", "Owner"]},
        "profile": {"name": ["Person - Name", "Name"], "first_name": ["Person - First name"], "last_name": ["Person - Last name"],
            "job_title": ["Person - Title", "Person - Job title"]},
        "stages": {"prospect": ["Deal - Deal created"], "customer": ["Deal - Won time"], "lost": ["Deal - Lost time"]},
        "opt_outs": [
            {"headers": ["Person - Marketing status", "Marketing status"], "channel": "email", "values": ["Unsubscribed"]},
            {"headers": ["Person - Marketing status", "Marketing status"], "channel": "email", "values": ["Bounced"], "reason": "bounced"}],
        "opt_ins": [{"headers": ["Person - Marketing status", "Marketing status"], "channel": "email", "values": ["Subscribed"]}]}'
    WHEN 'zoho' THEN jsonb '{
        "record_id": ["Record Id", "Lead Id", "Contact Id", "Id"],
        "email": ["Email"],
        "phone": ["Phone", "Mobile"],
        "created_at": ["Created Time"],
        "columns": {"organization": ["Company", "Account Name"], "country": ["Country", "Mailing Country"], "channel": ["Lead Source"],
            "owner": ["Lead Owner", "Contact Owner"]},
        "profile": {"first_name": ["First Name"], "last_name": ["Last Name"], "job_title": ["Title"], "industry": ["Industry"], "rating": ["Rating"],
            "city": ["City", "Mailing City"]},
        "stages": {"prospect": ["Converted Date Time"]},
        "stage": {"headers": ["Lead Status"], "values": {"Not Contacted": null, "Attempted to Contact": null, "Contacted": null, "None": null,
            "Contact in Future": "recycled", "Pre-Qualified": "mql", "Qualified": "sql", "Not Qualified": "disqualified", "Junk Lead": "disqualified",
            "Lost Lead": "lost"}},
        "basis": ["Data Processing Basis"],
        "basis_values": {"Consent": "consent", "Consent - Obtained": "consent", "Obtained": "consent", "Contract": "contract",
            "Legitimate Interests": "legitimate_interest", "Consent - Pending": null, "Consent - Awaiting": null, "Pending": null, "Awaiting": null,
            "Legal Obligation": null, "Vital Interests": null, "Public Interests": null, "Not Applicable": null},
        "opt_outs": [{"headers": ["Email Opt Out"], "at": ["Unsubscribed Time"], "channel": "email"}]}'
    WHEN 'dynamics' THEN jsonb '{
        "record_id": ["(Do Not Modify) Lead", "(Do Not Modify) Contact", "Lead", "Contact"],
        "email": ["Email", "Email Address"],
        "phone": ["Business Phone", "Mobile Phone"],
        "created_at": ["Created On"],
        "columns": {"organization": ["Company Name"], "country": ["Country", "Country/Region", "Address 1: Country/Region"],
            "channel": ["Lead Source"], "campaign": ["Source Campaign"], "owner": ["Owner"]},
        "profile": {"first_name": ["First Name"], "last_name": ["Last Name"], "job_title": ["Job Title"], "industry": ["Industry"], "rating": ["Rating"]},
        "stages": {},
        "stage": {"headers": ["Status"], "values": {"Open": null, "Active": null, "Inactive": null, "Qualified": "sql", "Disqualified": "disqualified"}},
        "opt_outs": [
            {"headers": ["Do not allow Bulk Emails"], "channel": "email"},
            {"headers": ["Do not allow Emails"], "channel": "email"},
            {"headers": ["Do not allow Phone Calls"], "channel": "phone"}]}'
    END;
END
$$;
REVOKE EXECUTE ON FUNCTION import_mapping(text) FROM PUBLIC;
COMMENT ON FUNCTION import_mapping(text) IS
    'the meaning of the columns of an export of a CRM to import_crm(): hubspot, salesforce, pipedrive, zoho or dynamics; NULL for another';
