package java.util.concurrent;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import otelrun.Agent;

/**
 * What OkHttp's HTTP/2 calls. A request with a body leaves its head in the connection's buffer, which whichever thread is next flushes; so
 * the head says for whom it is made.
 */
public final class OtelRunOkHttp {
    private OtelRunOkHttp() {}

    /** A stream is about to be made for a request with these fields. */
    public static void stream(Object fields) {
        try {
            long context = OtelRun.current();
            if (context == OtelRun.NOBODY || !(fields instanceof ArrayList)) {
                return;
            }
            @SuppressWarnings("unchecked")
            List<Object> head = (List<Object>) fields;
            String value = Agent.handedOut(context);
            if (value == null) {
                return;
            }
            Fields of = Fields.OF.get(head.get(0).getClass());
            Object ours = of.make.newInstance("traceparent", value);
            for (Object each : head) {
                if (of.name.get(ours).equals(of.name.get(each))) {
                    return;
                }
            }
            head.add(ours);
        } catch (Throwable e) {
            // Then it has no parent.
        }
    }

    /** How fields of a head are made and read (okhttp3.internal.http2.Header). */
    private static final class Fields {
        static final ClassValue<Fields> OF = new ClassValue<Fields>() {
            @Override
            protected Fields computeValue(Class<?> type) {
                try {
                    return new Fields(type);
                } catch (ReflectiveOperationException e) {
                    throw new IllegalArgumentException(e);
                }
            }
        };

        final Constructor<?> make;
        final Field name;

        Fields(Class<?> type) throws ReflectiveOperationException {
            make = type.getConstructor(String.class, String.class);
            name = type.getField("name");
        }
    }
}
