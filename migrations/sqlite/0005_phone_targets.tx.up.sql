ALTER TABLE accounts ADD COLUMN phone_target TEXT NOT NULL DEFAULT '';
--bun:split

ALTER TABLE accounts ADD COLUMN phone_target_created_at TIMESTAMP;
--bun:split

ALTER TABLE accounts ADD COLUMN phone_target_updated_at TIMESTAMP;
