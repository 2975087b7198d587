import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.http.client.config.RequestConfig;
import org.apache.http.client.methods.HttpPost;
import org.apache.http.entity.ByteArrayEntity;
import org.apache.http.entity.ContentType;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

class ApacheClient {
    public static void main(String[] arguments) throws Exception {
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        try (var client = HttpClients.createDefault()) {
            for (int n = 0; n < 100; n++) {
                var asked = new HttpPost(arguments[0] + "/predict");
                asked.setConfig(RequestConfig.custom().setExpectContinueEnabled(n % 2 == 1).build());
                asked.setEntity(new ByteArrayEntity(body, ContentType.APPLICATION_JSON));
                try (var answer = client.execute(asked)) {
                    EntityUtils.consume(answer.getEntity());
                    System.out.println(answer.getStatusLine().getStatusCode());
                }
            }
        }
    }
}
