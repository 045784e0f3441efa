"""Where records are in Kafka, in Kafka's own words."""

Partition = tuple[str, int]  # a topic and the number of one of its partitions
