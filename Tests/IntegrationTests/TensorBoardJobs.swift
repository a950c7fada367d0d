import Foundation
import Testing

@testable import Checkpoints
@testable import Foundations
@testable import SyntheticFaces

/// A Python that has the tensorboard package.
enum TensorBoard {
  static let python = [
    ProcessInfo.processInfo.environment["RFM_TENSORBOARD_PYTHON"], "/usr/bin/python3",
  ].compactMap { $0 }.first {
    (try? Job.run($0, ["-c", "import tensorboard, PIL"]))?.succeeded == true
  }

  static let missing: Comment =
    "no Python with tensorboard: launch/test installs one, RFM_TENSORBOARD_PYTHON names another"

  /// What TensorBoard's own reader finds in a folder.
  static func read(_ folder: String) throws -> JSON {
    let outcome = try Job.run(
      try #require(python),
      [repository.path + "/Tests/Oracle/tensorboard_reader.py", folder])
    try #require(outcome.succeeded, "\(outcome)")
    return try JSON(parsing: outcome.standardOutput.utf8)
  }
}

extension Jobs {
  /// What is in event files, as far as names tell: whichever Python there is.
  @Suite struct EventNames {
    @Test func examplesAreOfTheMethodsThatTheTrainingUses() throws {
      let runs = try TinyRuns()
      let outcome = try runs.train(
        "some", ["data.exclude_methods=[face-swap]", "training.steps=4", "run.report=false"])
      #expect(outcome.succeeded, "\(outcome)")
      let name = try #require(runs.folder.names("runs/some").first { $0.contains("tfevents") })
      let events = Data(try bytes(runs.path("some") + "/" + name))
      let methods = ForgeryMethod.allCases.map(\.rawValue)
      let shown = methods.filter { events.range(of: Data("examples/\($0)".utf8)) != nil }
      #expect(shown == methods.filter { $0 != "face-swap" }, "\(shown)")
    }
  }

  /// Event files as TensorBoard reads them.
  @Suite(.enabled(if: TensorBoard.python != nil, TensorBoard.missing)) struct EventFiles {
    /// Step and float32 bits of every number in `metrics.jsonl`, by tag.
    private func expected(_ run: String) throws -> [String: [JSON]] {
      var series: [String: [JSON]] = [:]
      for line in try MetricsFile.read(run + "/metrics.jsonl") {
        let step = try #require(line["step"])
        for member in try #require(line.members) where member.name != "step" {
          guard let number = member.value.doubleValue else { continue }
          let tag =
            member.name.contains("validation_")
            ? "validation/" + member.name.dropFirst("validation_".count)
            : "training/" + member.name
          series[tag, default: []].append(
            .array([step, .integer(Int(Float(number).bitPattern))]))
        }
      }
      return series
    }

    private func check(_ run: String) throws {
      let found = try TensorBoard.read(run)
      let scalars = try expected(run)
      #expect(scalars["training/loss"]?.count == 8 && scalars["validation/auc"]?.count == 2)
      let read = try #require(found["scalars"]?.members)
      #expect(Set(read.map(\.name)) == Set(scalars.keys))
      for series in read {
        #expect(series.value == .array(scalars[series.name] ?? []), "\(series.name)")
      }

      let images = try #require(found["images"]?.members)
      // An epoch has prototypes of the methods of which it has seen images.
      let steps = [4, 8]
      let seen = try steps.map { step in
        let file = run + "/checkpoints/step-0000000\(step)/prototypes.h5"
        return try #require(try PrototypesFile(reading: file).epoch).methods
      }
      for group in ["prototypes/", "prototypes of the epoch/", "examples/"] {
        let series = images.filter { $0.name.hasPrefix(group) }
        #expect(!series.isEmpty)
        for tag in series {
          // One for each checkpoint, all of them decoded.
          guard case .array(let events) = tag.value else { continue }
          let method = String(tag.name.dropFirst(group.count))
          let expected = zip(steps, seen).filter { _, methods in
            group != "prototypes of the epoch/" || methods.contains(method)
          }
          #expect(events.map { $0.arrayValue?.first } == expected.map { .integer($0.0) }, "\(tag)")
        }
      }
      let examples = images.filter { $0.name.hasPrefix("examples/") }
      #expect(examples.count == 5)
      #expect(examples.allSatisfy { $0.value.arrayValue?[0].arrayValue == [4, 128, 40] })

      let configuration = try String(contentsOfFile: run + "/config.yaml", encoding: .utf8)
      let text = try #require(
        found["texts"]?["configuration/text_summary"]?.arrayValue?.last?.arrayValue?.last?.textValue
      )
      #expect(
        text.split(separator: "\n").map { $0.dropFirst(4) }
          == configuration.split(separator: "\n"))
    }

    @Test func everyFigureAndPictureIsReadBackByTensorBoard() throws {
      let runs = try TinyRuns()
      let outcome = try runs.train("run", ranks: 2)
      #expect(outcome.succeeded, "\(outcome)")
      try check(runs.path("run"))
    }

    /// The steps since the checkpoint are told anew, and TensorBoard shows them once.
    @Test func aContinuedRunIsReadAsIfItHadNeverBeenInterrupted() throws {
      let runs = try TinyRuns()
      let first = try runs.train("run")
      #expect(first.succeeded, "\(first)")
      let run = runs.path("run")
      // Half a record at the end, as a loss of power may leave it.
      let name = try #require(runs.folder.names("runs/run").first { $0.contains("tfevents") })
      let events = try bytes(run + "/" + name)
      try Data(events + events[..<40]).write(to: URL(filePath: run + "/" + name))
      try damage(run + "/checkpoints/step-00000008/state.json", at: 40)
      let again = try runs.train("run", more: ["--resume"])
      #expect(again.succeeded, "\(again)")
      #expect(again.standardError.contains("continuing from step 4"), "\(again)")
      #expect(runs.folder.names("runs/run").count(where: { $0.contains("tfevents") }) == 2)
      try check(run)
    }

    @Test func theyCanBeSwitchedOff() throws {
      let runs = try TinyRuns()
      let outcome = try runs.train("run", ["run.tensorboard=false"])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(!runs.folder.names("runs/run").contains { $0.contains("tfevents") })
    }
  }
}
