import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;

class JdkClient {
    // one for the whole process: each has a pool of its own
    static final HttpClient CLIENT = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(1)).build();

    public static void main(String[] arguments) throws Exception {
        var asked = HttpRequest.newBuilder(URI.create(arguments[0] + "/predict"))
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[1]))).build();
        for (int n = 0; n < 100; n++)
            System.out.println(CLIENT.send(asked, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
