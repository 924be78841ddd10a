// SPDX-License-Identifier: MIT

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A peer of weft's bench: reads commands, and answers each with one line. */
final class Peer {
    private static final int EXIT_USAGE = 2;
    private static final int EXIT_ENVIRONMENT = 3;
    private static final int MOST_THREADS = 4096;
    private static final int MOST_SECONDS = 3600;

    /** The options a command must have, and those it may have. */
    private record Rule(List<String> needed, List<String> optional) { }

    private static final Map<String, Rule> RULES = Map.of(
            "hello", new Rule(List.of(), List.of()),
            "verify", new Rule(List.of(), List.of()),
            "prefill", new Rule(List.of("threads"), List.of()),
            "run", new Rule(List.of("threads", "seconds"), List.of("offset", "latency")),
            "once", new Rule(List.of("threads"), List.of("latency")),
            "clear", new Rule(List.of(), List.of()),
            "quit", new Rule(List.of(), List.of()));

    private final Session session;

    private Peer(Session session) {
        this.session = session;
    }

    private static Map<String, Double> parse(String[] words) {
        Rule rule = RULES.get(words[0]);
        if (rule == null) {
            throw new IllegalArgumentException("unknown command '" + words[0]
                    + "', allowed: hello, verify, prefill, run, once, clear, quit");
        }
        List<String> allowed = new ArrayList<>(rule.needed());
        allowed.addAll(rule.optional());
        Map<String, Double> options = new HashMap<>();
        for (int i = 1; i < words.length; i++) {
            String[] parts = words[i].split("=", 2);
            if (!allowed.contains(parts[0])) {
                throw new IllegalArgumentException(words[0] + " does not take '" + words[i]
                        + "', allowed: " + String.join(", ", allowed));
            }
            options.put(parts[0], value(parts[0], parts.length > 1 ? parts[1] : ""));
        }
        for (String name : rule.needed()) {
            if (!options.containsKey(name)) {
                throw new IllegalArgumentException(words[0] + " needs " + name + "=N");
            }
        }
        return options;
    }

    private static double value(String name, String text) {
        return switch (name) {
            case "threads" -> number(name, text, 1, MOST_THREADS);
            case "offset" -> number(name, text, 0, 1L << 52);
            case "latency" -> number(name, text, 0, 1);
            default -> {
                double seconds = text.matches("[0-9]*\\.?[0-9]+") ? Double.parseDouble(text) : 0;
                if (seconds <= 0 || seconds > MOST_SECONDS) {
                    throw new IllegalArgumentException("seconds=" + text
                            + ", allowed: above 0 to " + MOST_SECONDS);
                }
                yield seconds;
            }
        };
    }

    private static double number(String name, String text, long least, long greatest) {
        long number = text.matches("[0-9]{1,18}") ? Long.parseLong(text) : -1;
        if (number < least || number > greatest) {
            throw new IllegalArgumentException(name + "=" + text + ", allowed: " + least + " to "
                    + greatest);
        }
        return number;
    }

    /** null: the end. */
    private String answer(String line) throws IOException, InterruptedException {
        String[] words = line.strip().split("\\s+");
        Map<String, Double> options = parse(words);
        int threads = options.getOrDefault("threads", 1.0).intValue();
        boolean timed = options.getOrDefault("latency", 0.0) == 1;
        long offset = options.getOrDefault("offset", 0.0).longValue();
        long pause = Math.max(1, (long) (options.getOrDefault("seconds", 0.0) * 1e9));
        return switch (words[0]) {
            case "hello" -> session.hello();
            case "verify" -> session.verify();
            case "prefill" -> session.prefill(threads);
            case "run" -> session.replay(threads, offset, timed, pause);
            case "once" -> session.replay(threads, 0, timed, 0);
            case "clear" -> session.clear();
            default -> null;
        };
    }

    private void serve() throws IOException, InterruptedException {
        BufferedReader input =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = input.readLine()) != null) {
            String answer;
            try {
                answer = answer(line);
            } catch (IllegalArgumentException error) {
                answer = Session.failure(error.getMessage());
            }
            if (answer == null) {
                return;
            }
            System.out.println(answer);
        }
    }

    /** Ends the process with one line for people, and the same for the driver. */
    private static void fail(Tables.Kind kind, int code, String message) {
        System.err.println(kind.id + ": " + message);
        System.out.println(Session.failure(message));
        System.exit(code);
    }

    /** Arguments: the kind, which the start script gives, then [--map NAME] --trace FILE. */
    public static void main(String[] arguments) throws InterruptedException {
        Tables.Kind kind = Tables.Kind.valueOf(arguments[0]);
        String path = null;
        for (int i = 1; i < arguments.length; i += 2) {
            String value = i + 1 < arguments.length ? arguments[i + 1] : null;
            if (arguments[i].equals("--trace") && value != null) {
                path = value;
            } else if (!arguments[i].equals("--map") || value == null) {
                path = null;
                break;
            } else if (!value.equals(kind.map)) {
                fail(kind, EXIT_USAGE, "unknown map '" + value + "', allowed: " + kind.map);
            }
        }
        if (path == null) {
            fail(kind, EXIT_USAGE, "usage: " + kind.id + " [--map NAME] --trace FILE");
        }
        try {
            new Peer(new Session(kind, Trace.open(path))).serve();
        } catch (Trace.Malformed | IOException error) {
            fail(kind, EXIT_ENVIRONMENT, error.getMessage());
        }
    }
}
