// A request through the client that openapi-generator makes for Java (library native).
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.OperationApi;
import org.openapitools.client.api.ScoringApi;
import org.openapitools.client.model.CandidatesRequest;
import org.openapitools.client.model.PredictAnswer;
import org.openapitools.client.model.PredictRequest;
import org.openapitools.client.model.Problem;

public class Main {
    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(arguments[0]);
        Map<String, Object> context = new HashMap<>();
        context.put("user", 3000000001L);
        context.put("hour", 1234567.89);
        context.put("device", null);
        context.put("interests", Arrays.asList("cars", "golf"));
        CandidatesRequest request = new CandidatesRequest();
        request.setContext(context);
        request.setCandidates(List.of(Map.of("ad", "a1"), Map.of("ad", "a2")));
        ScoringApi scoring = new ScoringApi(client);
        PredictAnswer answer = scoring.predict(new PredictRequest(request), null);
        System.out.println(answer.getProbabilities().size());
        System.out.println(new OperationApi(client).readyz().getStatus());
        request.setCandidates(List.of(Map.of("price", "3.5 EUR")));
        try {
            scoring.predict(new PredictRequest(request), null);
        } catch (ApiException refused) {
            Problem problem = client.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
            System.out.println(refused.getCode() + " " + problem.getCode() + " " + problem.getField());
        }
    }
}
