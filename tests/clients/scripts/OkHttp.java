import java.nio.file.Files;
import java.nio.file.Path;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;

class OkHttp {
    public static void main(String[] arguments) throws Exception {
        var client = new OkHttpClient();
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        var asked = new Request.Builder().url(arguments[0] + "/predict")
            .post(RequestBody.create(MediaType.get("application/json"), body)).build();
        for (int n = 0; n < 100; n++) {
            try (var answer = client.newCall(asked).execute()) {
                answer.body().bytes();
                System.out.println(answer.code());
            }
        }
        client.dispatcher().executorService().shutdown();
        client.connectionPool().evictAll();
    }
}
