// Requests of the JDK's HttpClient, which asks for an upgrade to HTTP/2 unless told otherwise, and of its older HttpURLConnection.
import java.io.ByteArrayInputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class Client {
    public static void main(String[] arguments) throws Exception {
        String base = arguments[0] + "/java/";
        HttpClient upgrading = HttpClient.newHttpClient();
        HttpClient plain = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest.Builder get = HttpRequest.newBuilder(URI.create(base + "upgrade?q=a%20b"));
        upgrading.send(get.header("X-Two", "1").header("X-Two", "2").build(), BodyHandlers.discarding());
        HttpRequest.Builder json = HttpRequest.newBuilder(URI.create(base + "json")).header("Content-Type", "application/json");
        plain.send(json.POST(BodyPublishers.ofString("{\"a\":[1,null]}")).build(), BodyHandlers.discarding());
        HttpRequest.Builder chunked = HttpRequest.newBuilder(URI.create(base + "chunked"));
        plain.send(chunked.PUT(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(new byte[500]))).build(), BodyHandlers.discarding());
        HttpRequest.Builder expecting = HttpRequest.newBuilder(URI.create(base + "expect")).expectContinue(true);
        plain.send(expecting.POST(BodyPublishers.ofString("content")).build(), BodyHandlers.discarding());

        HttpURLConnection old = (HttpURLConnection) URI.create(base + "old").toURL().openConnection();
        old.setRequestProperty("Cookie", "a=1; b=2");
        old.getInputStream().readAllBytes();
        HttpURLConnection form = (HttpURLConnection) URI.create(base + "oldform").toURL().openConnection();
        form.setDoOutput(true);
        form.getOutputStream().write("a=1&b=%C3%BC".getBytes());
        form.getInputStream().readAllBytes();
    }
}
