// The same as function.py, in Java without any dependency: `java Function.java`.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Timer;
import java.util.TimerTask;
import java.util.UUID;
import java.util.regex.Pattern;

public class Function {
    private static final HttpClient CLIENT =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final String API = "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API")
        + "/2018-06-01/runtime/invocation/";
    private static final String RECEIVER = System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    private static final long TIMER_MS = 1500;

    public static void main(String[] arguments) throws Exception {
        Timer timer = new Timer(true);
        while (true) {
            HttpResponse<String> next = send(HttpRequest.newBuilder(URI.create(API + "next")).build());
            String id = next.headers().firstValue("Lambda-Runtime-Aws-Request-Id").orElseThrow();
            String event = next.body();
            long began = System.currentTimeMillis();
            Thread.sleep((long) (1000 * Double.parseDouble(field(event, "sleep", "0.02"))));
            if (field(event, "crash", "false").equals("true")) {
                Runtime.getRuntime().halt(3);
            }
            String span = span(field(event, "name", "own"), id, began, System.currentTimeMillis());
            switch (field(event, "sends", "nothing")) {
                case "at its end" -> post(span);
                case "by a timer" -> timer.schedule(new TimerTask() {
                    @Override
                    public void run() {
                        post(span);
                    }
                }, TIMER_MS);
                default -> { }
            }
            HttpRequest.Builder answer = HttpRequest.newBuilder(URI.create(API + id + "/response"));
            send(answer.POST(BodyPublishers.ofString("\"ok\"")).build());
        }
    }

    private static String span(String name, String id, long start, long end) {
        String hex = UUID.randomUUID().toString().replace("-", "");
        String attribute = "{'key':'faas.invocation_id','value':{'stringValue':'" + id + "'}}";
        String span = "{'name':'" + name + "','kind':2,'attributes':[" + attribute + "],'traceId':'" + hex
            + "','spanId':'" + hex.substring(16) + "','startTimeUnixNano':'" + start
            + "000000','endTimeUnixNano':'" + end + "000000'}";
        return ("{'resourceSpans':[{'scopeSpans':[{'spans':[" + span + "]}]}]}").replace('\'', '"');
    }

    private static void post(String body) {
        if (RECEIVER == null) {
            return;
        }
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(RECEIVER + "/v1/traces"));
        try {
            send(request.header("content-type", "application/json").POST(BodyPublishers.ofString(body)).build());
        } catch (Exception error) {
            System.err.println(error);
        }
    }

    private static HttpResponse<String> send(HttpRequest request) throws Exception {
        return CLIENT.send(request, BodyHandlers.ofString());
    }

    // The events of the tests are flat, and have neither escapes nor commas in their texts.
    private static String field(String event, String name, String otherwise) {
        var found = Pattern.compile("\"" + name + "\":\"?([^\",}]*)").matcher(event);
        return found.find() ? found.group(1) : otherwise;
    }
}
