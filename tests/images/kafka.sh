#!/bin/bash
# Entry point of the self-made Kafka image. Like the official one it is configured by KAFKA_* variables
# (KAFKA_LOG_DIRS becomes log.dirs) and CLUSTER_ID, and it formats the storage at the first start only:
# a broker that was killed comes back with its topics.
set -eu

properties=/tmp/server.properties
while IFS='=' read -r name value; do
    [[ $name == KAFKA_* ]] || continue
    key=${name#KAFKA_}
    key=${key,,}
    printf '%s=%s\n' "${key//_/.}" "$value"
done < <(env) >"$properties"

data=${KAFKA_LOG_DIRS:?set KAFKA_LOG_DIRS}
install -d -o nobody -g nogroup "$data"
as_kafka=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
# One node of small topics: the serial collector and the first compiler tier start in half the time of the defaults.
java=(java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true -cp '/opt/kafka/libs/*')

if [ ! -s "$data/meta.properties" ]; then
    "${as_kafka[@]}" "${java[@]}" kafka.tools.StorageTool format --ignore-formatted \
        --cluster-id "${CLUSTER_ID:?set CLUSTER_ID}" --config "$properties" >/dev/null
fi
exec "${as_kafka[@]}" "${java[@]}" kafka.Kafka "$properties"
