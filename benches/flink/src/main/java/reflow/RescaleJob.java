package reflow;

import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import org.apache.flink.util.Collector;
import org.apache.flink.util.ParameterTool;

/**
 * The job of {@code rescale} on Flink: what {@code benches/src/bin/rescale_job.rs} is on Reflow, with the same records at the same
 * times, the same state, the same output and the same log.
 *
 * <p>Sixteen splits at a fixed rate, and per key a count, a sum and a payload. Each record leaves with its key's count and is written
 * to a file exactly once; the time at which it left the keyed operator goes to the log.
 */
public final class RescaleJob {
    public static void main(String[] args) throws Exception {
        ParameterTool options = ParameterTool.fromArgs(args);
        Schedule schedule =
                new Schedule(options.getLong("keys"), options.getLong("rate"), options.getLong("begin-us"));
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSource(new Paced(schedule), WatermarkStrategy.noWatermarks(), "paced", Types.LONG)
                .keyBy(record -> schedule.key(record), Types.LONG)
                .process(new Count(schedule, options.getInt("payload"), options.get("log")))
                .returns(Types.STRING)
                .sinkTo(
                        FileSink.forRowFormat(
                                        new org.apache.flink.core.fs.Path(options.get("output")),
                                        new SimpleStringEncoder<String>())
                                .withBucketAssigner(new BasePathBucketAssigner<>())
                                .withRollingPolicy(OnCheckpointRollingPolicy.build())
                                .build())
                .name("output");
        env.execute("rescale");
    }

    private static long wallMicros() {
        Instant now = Instant.now();
        return TimeUnit.SECONDS.toMicros(now.getEpochSecond()) + now.getNano() / 1_000;
    }

    /** Output {@code index}, from 0, of the SplitMix64 generator that starts at 0. */
    private static long splitMix64(long index) {
        long z = (index + 1) * 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /**
     * Which records there are, and when each is due: {@code benches/src/rescale/schedule.rs}. The first ones load each key once and
     * are due at once; the others are due at a fixed rate, whatever the job does.
     */
    record Schedule(long keys, long rate, long beginUs) implements Serializable {
        private static final long SECOND_US = 1_000_000;

        long key(long record) {
            return record < keys ? record : Long.remainderUnsigned(splitMix64(record), keys);
        }

        /** When a record is due, in microseconds since the Unix epoch; 0 while keys are loaded. */
        long dueMicros(long record) {
            return record < keys ? 0 : beginUs + (record - keys) * SECOND_US / rate;
        }

        /** The first record that is not due. */
        long endAt(long nowUs) {
            return nowUs < beginUs ? keys : keys + (nowUs - beginUs) * rate / SECOND_US + 1;
        }
    }

    /** What is kept of a key: a POJO, so that Flink does not serialize it by Kryo. */
    public static final class Account {
        public long count;
        public long sum;
        public String payload;
    }

    /** Counts the records of a key. */
    static final class Count extends KeyedProcessFunction<Long, Long, String> {
        private final Schedule schedule;
        private final int payloadBytes;
        private final String log;
        private transient ValueState<Account> state;
        private transient Recorder recorder;
        private transient int maxParallelism;

        Count(Schedule schedule, int payloadBytes, String log) {
            this.schedule = schedule;
            this.payloadBytes = payloadBytes;
            this.log = log;
        }

        @Override
        public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("account", Account.class));
            recorder = new Recorder(log);
            maxParallelism = getRuntimeContext().getTaskInfo().getMaxNumberOfParallelSubtasks();
        }

        @Override
        public void processElement(Long record, Context context, Collector<String> out) throws Exception {
            Account account = state.value();
            if (account == null) {
                account = new Account();
                account.payload = payload(context.getCurrentKey());
            }
            account.count++;
            account.sum += record;
            state.update(account);
            out.collect(record + " " + account.count);
            if (schedule.dueMicros(record) > 0) {
                int group = KeyGroupRangeAssignment.assignToKeyGroup(context.getCurrentKey(), maxParallelism);
                recorder.record(wallMicros(), record, group);
            }
        }

        /** Text that no compression shortens much. */
        private String payload(long key) {
            StringBuilder text = new StringBuilder(payloadBytes + 16);
            for (long i = 0; text.length() < payloadBytes; i++) {
                text.append(HexFormat.of().toHexDigits(splitMix64((key << 8) ^ i)));
            }
            text.setLength(payloadBytes);
            return text.toString();
        }

        @Override
        public void close() throws IOException {
            if (recorder != null) {
                recorder.close();
            }
        }
    }

    /**
     * Writes the log of outputs, as {@code benches/src/rescale/log.rs} reads it: 16 bytes each, into a buffer that goes to the file
     * every 20 ms. The file's name begins with the id of the process.
     */
    static final class Recorder {
        private static final long FLUSH_EVERY_US = 20_000;
        private static final int ENTRY_BYTES = 16;
        private static final AtomicInteger FILES = new AtomicInteger();

        private final String directory;
        private final ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
        private FileChannel file;
        private long flushedUs;

        Recorder(String directory) {
            this.directory = directory;
        }

        void record(long atUs, long record, int group) throws IOException {
            buffer.putLong(atUs).putInt((int) record).putShort((short) group).putShort((short) 0);
            if (atUs >= flushedUs + FLUSH_EVERY_US || buffer.remaining() < ENTRY_BYTES) {
                flushedUs = atUs;
                flush();
            }
        }

        private void flush() throws IOException {
            if (file == null) {
                String name = ProcessHandle.current().pid() + "-" + FILES.getAndIncrement();
                file = FileChannel.open(
                        Path.of(directory, name), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            }
            buffer.flip();
            while (buffer.hasRemaining()) {
                file.write(buffer);
            }
            buffer.clear();
        }

        void close() throws IOException {
            if (buffer.position() > 0) {
                flush();
            }
            if (file != null) {
                file.close();
            }
        }
    }

    /** A split and its place: the records whose number leaves the remainder {@code number}. */
    static final class Split implements SourceSplit {
        final int number;
        long next;

        Split(int number, long next) {
            this.number = number;
            this.next = next;
        }

        @Override
        public String splitId() {
            return Integer.toString(number);
        }
    }

    /** Sixteen splits of a {@link Schedule}, by the machine's clock. */
    static final class Paced implements Source<Long, Split, List<Split>> {
        private static final int SPLITS = 16;

        private final Schedule schedule;

        Paced(Schedule schedule) {
            this.schedule = schedule;
        }

        @Override
        public Boundedness getBoundedness() {
            return Boundedness.CONTINUOUS_UNBOUNDED;
        }

        @Override
        public SplitEnumerator<Split, List<Split>> createEnumerator(SplitEnumeratorContext<Split> context) {
            List<Split> splits = new ArrayList<>();
            for (int number = 0; number < SPLITS; number++) {
                splits.add(new Split(number, number));
            }
            return new Enumerator(context, splits);
        }

        @Override
        public SplitEnumerator<Split, List<Split>> restoreEnumerator(
                SplitEnumeratorContext<Split> context, List<Split> unassigned) {
            return new Enumerator(context, unassigned);
        }

        @Override
        public SourceReader<Long, Split> createReader(SourceReaderContext context) {
            return new Reader(schedule);
        }

        @Override
        public SimpleVersionedSerializer<Split> getSplitSerializer() {
            return new SplitSerializer();
        }

        @Override
        public SimpleVersionedSerializer<List<Split>> getEnumeratorCheckpointSerializer() {
            return new SplitsSerializer();
        }
    }

    /** Assigns each split once, to the subtasks in turn. Later the splits are state of the readers, which Flink redistributes. */
    static final class Enumerator implements SplitEnumerator<Split, List<Split>> {
        private final SplitEnumeratorContext<Split> context;
        private final List<Split> unassigned;

        Enumerator(SplitEnumeratorContext<Split> context, List<Split> unassigned) {
            this.context = context;
            this.unassigned = new ArrayList<>(unassigned);
        }

        @Override
        public void addReader(int subtask) {
            int parallelism = context.currentParallelism();
            List<Split> assigned =
                    unassigned.stream().filter(split -> split.number % parallelism == subtask).toList();
            if (!assigned.isEmpty()) {
                unassigned.removeAll(assigned);
                context.assignSplits(new SplitsAssignment<>(Map.of(subtask, assigned)));
            }
        }

        @Override
        public void addSplitsBack(List<Split> splits, int subtask) {
            unassigned.addAll(splits);
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            return List.copyOf(unassigned);
        }

        @Override
        public void start() {}

        @Override
        public void handleSplitRequest(int subtask, String host) {}

        @Override
        public void close() {}
    }

    /** Reads some splits. */
    static final class Reader implements SourceReader<Long, Split> {
        /** The number of records of a split before the next split has its turn. */
        private static final int TURN = 16;
        /** How long a reader waits that has found nothing due: records that are due meanwhile come together. */
        private static final long WAIT_MS = 1;

        private final Schedule schedule;
        private final List<Split> splits = new ArrayList<>();
        /** Whose turn it is. */
        private int turn;

        Reader(Schedule schedule) {
            this.schedule = schedule;
        }

        /** Emits what is due of one split. */
        @Override
        public InputStatus pollNext(ReaderOutput<Long> out) {
            long end = schedule.endAt(wallMicros());
            for (int looked = 0; looked < splits.size(); looked++) {
                turn = (turn + 1) % splits.size();
                Split split = splits.get(turn);
                if (split.next >= end) {
                    continue;
                }
                for (int i = 0; i < TURN && split.next < end; i++) {
                    out.collect(split.next);
                    split.next += Paced.SPLITS;
                }
                return InputStatus.MORE_AVAILABLE;
            }
            return InputStatus.NOTHING_AVAILABLE;
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return new CompletableFuture<Void>().completeOnTimeout(null, WAIT_MS, TimeUnit.MILLISECONDS);
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            return splits.stream().map(split -> new Split(split.number, split.next)).toList();
        }

        @Override
        public void addSplits(List<Split> added) {
            splits.addAll(added);
        }

        @Override
        public void start() {}

        @Override
        public void notifyNoMoreSplits() {}

        @Override
        public void close() {}
    }

    /** Number and next record of a split. */
    static final class SplitSerializer implements SimpleVersionedSerializer<Split> {
        static final int BYTES = Integer.BYTES + Long.BYTES;

        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Split split) {
            return ByteBuffer.allocate(BYTES).putInt(split.number).putLong(split.next).array();
        }

        @Override
        public Split deserialize(int version, byte[] bytes) {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            return new Split(buffer.getInt(), buffer.getLong());
        }
    }

    /** Splits one after the other. */
    static final class SplitsSerializer implements SimpleVersionedSerializer<List<Split>> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(List<Split> splits) {
            ByteBuffer buffer = ByteBuffer.allocate(splits.size() * SplitSerializer.BYTES);
            splits.forEach(split -> buffer.putInt(split.number).putLong(split.next));
            return buffer.array();
        }

        @Override
        public List<Split> deserialize(int version, byte[] bytes) {
            List<Split> splits = new ArrayList<>();
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                splits.add(new Split(buffer.getInt(), buffer.getLong()));
            }
            return splits;
        }
    }

    private RescaleJob() {}
}
