import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.concurrent.CompletableFuture;

/** By its defaults it offers h2c in every request. Arguments: url, body, how often (100), sync or async (sync). */
class JdkClient {
    public static void main(String[] arguments) throws Exception {
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        int times = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 100;
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/predict"))
                .header("content-type", "application/json")
                .POST(BodyPublishers.ofByteArray(body))
                .build();
        int atOnce = arguments.length > 3 && arguments[3].equals("async") ? 20 : 1;
        for (int n = 0; n < times; n += atOnce) {
            var answers = new ArrayList<CompletableFuture<Integer>>();
            for (int k = 0; k < atOnce; k++) {
                if (atOnce == 1) {
                    System.out.println(client.send(request, BodyHandlers.ofString()).statusCode());
                } else {
                    answers.add(client.sendAsync(request, BodyHandlers.ofString())
                            .thenApply(answer -> answer.statusCode()));
                }
            }
            for (var answer : answers) {
                System.out.println(answer.get());
            }
        }
        System.exit(0);
    }
}
