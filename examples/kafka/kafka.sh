#!/bin/sh
# A Kafka broker for tests and examples: kafka.sh LIBRARIES DATA PORT [fetch]
#
# Fetches Apache Kafka from Maven Central into the directory LIBRARIES, the first time only, makes a cluster of one node in
# the directory DATA, and runs it at 127.0.0.1:PORT until it is killed. A second run with the same DATA continues it.
# With `fetch` it only fetches. What DATA/more.properties says at the first run overrides the broker's properties below.
# Needs Maven and Java 17.
set -eu

VERSION=4.1.0
libraries=$1/kafka-$VERSION
data=$2
port=$3

if [ ! -f "$libraries/complete" ]; then
    mkdir -p "$libraries"
    cat > "$libraries/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>reflow</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
    mvn -q -B -f "$libraries/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libraries"
    touch "$libraries/complete"
fi
if [ "${4:-}" = fetch ]; then
    exit 0
fi
if [ ! -f "$data/server.properties" ]; then
    mkdir -p "$data"
    cat > "$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
log.dirs=$data/log
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
PROPERTIES
    if [ -f "$data/more.properties" ]; then
        cat "$data/more.properties" >> "$data/server.properties"
    fi
    java -Xmx256m -cp "$libraries/*" kafka.tools.StorageTool format --standalone \
        --cluster-id 4L6g3nShT-eMCtK--X86sw --config "$data/server.properties" > "$data/format.out"
fi
exec java -Xmx512m -XX:TieredStopAtLevel=1 -cp "$libraries/*" kafka.Kafka "$data/server.properties" > "$data/broker.out" 2>&1
