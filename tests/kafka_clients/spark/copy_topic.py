"""A job of Spark's Structured Streaming that copies a topic to another one, from where its checkpoint says.

usage: copy_topic.py JARS BOOTSTRAP FROM TO CHECKPOINT until-the-end|for-ever
"""
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, concat, lit

# Of one batch: what is done again when the job dies in one.
MOST_RECORDS = 1000


def main(jars, bootstrap, source, target, checkpoint, mode):
    session = (
        SparkSession.builder.master("local[2]").appName("copy")
        .config("spark.jars", jars).config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g").config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    records = (
        session.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", source)
        .option("startingOffsets", "earliest").option("failOnDataLoss", "true").option("maxOffsetsPerTrigger", str(MOST_RECORDS))
        .load()
    )
    copies = records.select(col("key"), concat(lit("copy of "), col("value").cast("string")).alias("value"))
    writer = (
        copies.writeStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("topic", target)
        .option("checkpointLocation", checkpoint)
    )
    trigger = {"until-the-end": {"availableNow": True}, "for-ever": {"processingTime": "100 milliseconds"}}[mode]
    writer.trigger(**trigger).start().awaitTermination()
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
