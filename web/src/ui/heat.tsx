// A strip with one cell a subtask, the warmer the more: shows skew at a glance, and says how much it is.

import { UNKNOWN } from "../format";
import { skewOf } from "../skew";
import "./heat.css";

export function Heat(props: {
  title: string;
  values: number[];
  format: (value: number) => string;
  /** What the warmest colour stands for; else the greatest value. */
  most?: number;
  note?: string;
}) {
  const { title, values, format } = props;
  const greatest = props.most ?? Math.max(0, ...values);
  const skew = skewOf(values);
  return (
    <figure class="heat">
      <figcaption>
        <span>{title}</span>
        <span class="quiet small" title={props.note}>
          {skew === null ? UNKNOWN : skew < 1.05 ? "even" : `most loaded has ${skew.toFixed(1)} × the mean`}
        </span>
      </figcaption>
      <div class="strip" role="img" aria-label={`${title}: ${values.map(format).join(", ")}`}>
        {values.map((value, index) => (
          <span
            key={index}
            title={`subtask ${index + 1}: ${format(value)}`}
            style={{ opacity: `${greatest > 0 ? 0.08 + 0.92 * Math.min(1, value / greatest) : 0.08}` }}
          />
        ))}
      </div>
    </figure>
  );
}
