import ForgeryMining
import Foundation
import Foundations
import Images
import Training

/// Writes what a training tells as TensorBoard's event files into the run's folder, beside
/// `metrics.jsonl`: every figure of it as a scalar, prototypes and example images at every
/// checkpoint, configuration and environment as text.
///
/// A training that is continued begins another file, whose first event makes readers drop what the
/// earlier ones say of later steps, so that each step is told once.
public final class TensorBoardLog: TrainingObserver {
  private var start: TrainingStart?
  private var file: EventFile?
  private let now: () -> Date

  public convenience init() { self.init(now: Date.init) }

  init(now: @escaping () -> Date) { self.now = now }

  public func begin(_ start: TrainingStart) throws { self.start = start }

  public func measured(_ metrics: JSON) throws {
    guard let step = metrics["step"]?.integerValue else { return }
    try write(Self.scalars(of: metrics), step: step)
  }

  public func saved(_ snapshot: TrainingSnapshot) throws {
    var values: [Event.Value] = []
    if let prototypes = snapshot.prototypes { values += try Self.images("prototypes", prototypes) }
    if let epoch = snapshot.epochPrototypes {
      values += try Self.images("prototypes of the epoch", epoch.prototypes)
    }
    for example in try snapshot.examples() {
      values.append(try Self.image("examples/\(example.method)", Self.picture(of: example)))
    }
    if !values.isEmpty { try write(values, step: snapshot.step) }
    try file?.synchronise()
  }

  public func finish() throws { try file?.synchronise() }

  /// The file is begun when there is something to tell, not where a complete run is continued.
  private func write(_ values: [Event.Value], step: Int) throws {
    let time = now()
    func event(_ step: Int, _ content: Event.Content) -> Event {
      Event(wallTime: time.timeIntervalSince1970, step: step, content: content)
    }
    var events = [event(step, .values(values))]
    if file == nil, let start {
      file = try EventFile(
        in: start.folder, host: start.environment.hosts.first ?? "localhost", time: time)
      events =
        [
          event(start.step + 1, .start),
          event(
            start.step + 1,
            .values([
              Self.text("configuration", start.configuration.yaml),
              Self.text("environment", try start.environment.json.page()),
            ])),
        ] + events
    }
    try file?.write(events)
  }

  // MARK: Values

  /// The numbers of a line of `metrics.jsonl`: `validation_auc` is `validation/auc`, `loss` is
  /// `training/loss`. What is null is left out.
  static func scalars(of metrics: JSON) -> [Event.Value] {
    (metrics.members ?? []).compactMap { member in
      guard member.name != "step", let number = member.value.doubleValue else { return nil }
      let validation = "validation_"
      let tag =
        member.name.hasPrefix(validation)
        ? "validation/\(member.name.dropFirst(validation.count))" : "training/\(member.name)"
      return Event.Value(tag: tag, content: .scalar(Float(number)))
    }
  }

  /// A text that is shown as it is: in Markdown, lines four columns in.
  static func text(_ tag: String, _ text: String) -> Event.Value {
    let lines = text.split(separator: "\n")
    return Event.Value(
      tag: "\(tag)/text_summary",
      content: .text(lines.map { "    \($0)" }.joined(separator: "\n")))
  }

  private static func images(_ group: String, _ prototypes: Prototypes) throws -> [Event.Value] {
    try prototypes.methods.indices.filter { prototypes.counts[$0] > 0 }.map { method in
      try image(
        "\(group)/\(prototypes.methods[method])",
        PrototypePictures.render(
          Array(prototypes.map(method)), width: prototypes.width, height: prototypes.height))
    }
  }

  private static func image(_ tag: String, _ picture: RGBImage) throws -> Event.Value {
    Event.Value(
      tag: tag,
      content: .image(
        width: picture.width, height: picture.height, png: try PNGCodec.encode(picture)))
  }

  /// The image, its map over it, and what erasing leaves of it, side by side.
  static func picture(of example: TrainingExample) -> RGBImage {
    let image = example.image
    let cells =
      [
        image,
        Heatmap.overlay(example.attention, width: image.width, height: image.height, on: image),
      ] + (example.erased.map { [$0] } ?? [])
    return PictureGrid.render(cells, columns: cells.count, gap: 4)
  }
}
