// SPDX-License-Identifier: MIT

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A mapped trace, and the checks that a peer makes. */
final class Trace {
    private static final String MAGIC_WITH_VERSION = "WEFTTRC1";
    private static final int HEADER_BYTES = 128;
    private static final int CHUNK_OPERATIONS = 4096;
    private static final int LEAST_VALUE = 8;
    private static final int GREATEST_VALUE = 1 << 20;
    /** A buffer is addressed by int: the file is mapped in pieces that end where chunks end. */
    private static final long GREATEST_PIECE = 1 << 30;

    final boolean bytes;
    final int valueBytes;
    final List<Chunk> prefill = new ArrayList<>();
    final List<Chunk> chunks = new ArrayList<>();
    private long prefillOperations;
    private long operations;

    /** What is wrong with a trace. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;

        Malformed(String message) {
            super(message);
        }
    }

    private Trace(ByteBuffer header, long size) throws Malformed {
        byte[] magic = new byte[MAGIC_WITH_VERSION.length()];
        header.get(0, magic);
        String found = new String(magic, StandardCharsets.ISO_8859_1);
        if (!found.equals(MAGIC_WITH_VERSION)) {
            throw new Malformed("begins with '" + found + "', a trace of this version with '"
                    + MAGIC_WITH_VERSION + "'");
        }
        if (header.getLong(56) != size) {
            throw new Malformed("its header says " + header.getLong(56) + " bytes, the file has "
                    + size);
        }
        int shape = header.getInt(8);
        if (shape != 0 && shape != 1) {
            throw new Malformed("shape " + shape + ", allowed: 0 and 1");
        }
        bytes = shape == 1;
        valueBytes = header.getInt(12);
        int greatest = bytes ? GREATEST_VALUE : LEAST_VALUE;
        if (valueBytes < LEAST_VALUE || valueBytes > greatest) {
            throw new Malformed("values of " + valueBytes + " bytes, allowed: " + LEAST_VALUE
                    + " to " + greatest);
        }
    }

    static Trace open(String path) throws Malformed {
        try (FileChannel file = FileChannel.open(Path.of(path))) {
            return read(file);
        } catch (NoSuchFileException error) {
            throw new Malformed(path + ": no such file");
        } catch (IOException error) {
            throw new Malformed(path + ": " + error.getMessage());
        } catch (Malformed error) {
            throw new Malformed(path + ": " + error.getMessage());
        }
    }

    private static Trace read(FileChannel file) throws IOException, Malformed {
        long size = file.size();
        if (size < HEADER_BYTES) {
            throw new Malformed(size + " bytes, a trace has " + HEADER_BYTES + " at least");
        }
        ByteBuffer header = piece(file, 0, HEADER_BYTES);
        Trace trace = new Trace(header, size);
        long left = header.getLong(32);
        long at = HEADER_BYTES;
        while (left > 0) {
            ByteBuffer piece = piece(file, at, Math.min(size - at, GREATEST_PIECE));
            int end = 0;
            boolean last = at + piece.capacity() == size;
            while (left > 0 && (last || trace.holdsChunk(piece, end))) {
                end += trace.addChunk(piece, end, at);
                left--;
            }
            at += end;
        }
        if (at != size || header.getLong(16) != trace.prefillOperations
                || header.getLong(24) != trace.operations) {
            throw new Malformed("its header says " + header.getLong(16) + " + " + header.getLong(24)
                    + " operations in " + size + " bytes, its chunks " + trace.prefillOperations
                    + " + " + trace.operations + " in " + at);
        }
        return trace;
    }

    private static ByteBuffer piece(FileChannel file, long at, long size) throws IOException {
        MappedByteBuffer mapped = file.map(FileChannel.MapMode.READ_ONLY, at, size);
        // Loaded at once, so that the file's pages are not mistaken for memory of the map.
        return mapped.load().order(ByteOrder.LITTLE_ENDIAN);
    }

    private boolean holdsChunk(ByteBuffer piece, int at) {
        int left = piece.capacity() - at;
        return left >= Chunk.HEADER_BYTES && piece.getInt(at + 4) <= left;
    }

    /** Adds the chunk at a place of a piece, which itself is at a place of the file; its size. */
    private int addChunk(ByteBuffer piece, int at, long pieceAt) throws Malformed {
        try {
            return addChunk(piece.slice(at, piece.capacity() - at).order(ByteOrder.LITTLE_ENDIAN));
        } catch (Malformed error) {
            throw new Malformed("chunk " + (prefill.size() + chunks.size()) + " at byte "
                    + (pieceAt + at) + ": " + error.getMessage());
        }
    }

    private int addChunk(ByteBuffer data) throws Malformed {
        int left = data.capacity();
        if (left < Chunk.HEADER_BYTES) {
            throw new Malformed(left + " bytes are left, a chunk's header has "
                    + Chunk.HEADER_BYTES);
        }
        int count = data.getInt(0);
        int size = data.getInt(4);
        int kind = data.getInt(8);
        boolean inOrder = kind == 1 || kind == 0 && operations == 0;
        if (count < 1 || count > CHUNK_OPERATIONS || !inOrder) {
            throw new Malformed(count + " operations of kind " + kind + ", allowed: 1 to "
                    + CHUNK_OPERATIONS + ", prefill (0) before operations (1)");
        }
        int keysAt = Chunk.HEADER_BYTES + Chunk.padded(count);
        int textAt = keysAt + (bytes ? Chunk.padded(4 * (count + 1)) : 8 * count);
        if (size % 8 != 0 || size < textAt || size > left) {
            throw new Malformed(size + " bytes for " + count + " operations, " + left
                    + " are left");
        }
        int text = bytes ? data.getInt(keysAt + 4 * count) : 0;
        if (text < 0 || text > size - textAt) {
            throw new Malformed("keys up to byte " + text + " of " + (size - textAt));
        }
        ByteBuffer whole = data.slice(0, size).order(ByteOrder.LITTLE_ENDIAN);
        Chunk chunk = new Chunk(1 + prefillOperations + operations, count, whole, textAt);
        if (kind == 0) {
            prefill.add(chunk);
            prefillOperations += count;
        } else {
            chunks.add(chunk);
            operations += count;
        }
        return size;
    }
}
