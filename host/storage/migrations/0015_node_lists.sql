-- Lists of nodes are read from this index alone: the rows, with their documents, are many times as long. It stands for the one by
-- parent, as its first column is the same.
DROP INDEX nodes_by_parent_node;
CREATE INDEX nodes_listed ON nodes (
    parent_node, id, revision, uuid, name, instance_uuid, maintenance, power_state, provision_state, driver, resource_class, owner, lessee
);
