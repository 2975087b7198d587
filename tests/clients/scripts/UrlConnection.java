import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;

class UrlConnection {
    public static void main(String[] arguments) throws Exception {
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        for (int n = 0; n < 100; n++) {
            var asked = (HttpURLConnection) new URL(arguments[0] + "/predict").openConnection();
            asked.setRequestMethod("POST");
            asked.setRequestProperty("content-type", "application/json");
            asked.setDoOutput(true);
            asked.getOutputStream().write(body);
            System.out.println(asked.getResponseCode());
            asked.getInputStream().readAllBytes();
        }
    }
}
