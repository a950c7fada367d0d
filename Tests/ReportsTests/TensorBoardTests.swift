import Foundation
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import Images
@testable import Reports
@testable import Training

@Suite struct TensorBoardTests {
  /// RFC 3720, appendix B.4, and the check value of the catalogue of CRC algorithms.
  @Test func checksumsAreThePublishedOnes() {
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(CRC32C.checksum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(CRC32C.checksum(0..<32) == 0x46dd_794e)
    #expect(CRC32C.checksum((0..<32).reversed()) == 0x113f_db5c)
    #expect(CRC32C.checksum("123456789".utf8) == 0xe306_9283)
    #expect(CRC32C.checksum([]) == 0)
  }

  /// The golden file is written by Tests/Oracle/tensorboard_events.py.
  @Test func eventsHaveTheBytesThatTensorBoardsOwnWriterGivesThem() throws {
    let golden = try Data(
      contentsOf: Bundle.module.resourceURL!.appendingPathComponent("Golden/events.tfevents"))
    let events = [
      Event(wallTime: 1_234_567_890.25, step: 0, content: .fileVersion),
      Event(wallTime: 1_234_567_890.5, step: 301, content: .start),
      Event(
        wallTime: 1_234_567_890.75, step: 301,
        content: .values([TensorBoardLog.text("configuration", "run:\n  name: \"ünïcode\"\n")])),
      Event(
        wallTime: 1_234_567_891, step: 301,
        content: .values([
          .init(tag: "training/loss", content: .scalar(0.69314718)),
          .init(tag: "training/learning_rate", content: .scalar(0)),
          .init(tag: "training/below", content: .scalar(-1.5e-38)),
        ])),
      Event(
        wallTime: 1_234_567_892, step: 500_000,
        content: .values([
          .init(
            tag: "prototypes/swap",
            content: .image(
              width: 300, height: 2,
              png: [[UInt8]](repeating: Array(0...255), count: 70).flatMap { $0 }))
        ])),
    ]
    #expect(events.flatMap(\.record) == Array(golden))
  }

  @Test func aLineOfMetricsBecomesAScalarForEachNumber() {
    let scalars = TensorBoardLog.scalars(
      of: [
        "step": 4, "epoch": 0, "loss": 0.5, "validation_auc": 0.75, "validation_ap": .null,
        "note": "text",
      ])
    #expect(
      scalars == [
        .init(tag: "training/epoch", content: .scalar(0)),
        .init(tag: "training/loss", content: .scalar(0.5)),
        .init(tag: "validation/auc", content: .scalar(0.75)),
      ])
  }

  private func start(_ folder: String, step: Int) -> TrainingStart {
    TrainingStart(
      configuration: Configuration(),
      environment: RunEnvironment(versions: [], hosts: ["node/1"], threadsPerRank: 1),
      folder: folder, step: step)
  }

  /// Within one second, and when the clock was set back, a later file still has the later name.
  @Test func aContinuedTrainingBeginsALaterFileThatVoidsTheStepsToCome() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rfm-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var contents: [[UInt8]] = []
    for (step, time) in [(0, 2e9), (3, 2e9), (3, 1e9)] {
      let log = TensorBoardLog(now: { Date(timeIntervalSince1970: time) })
      try log.begin(start(folder.path, step: step))
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder.path).count == contents.count)
      try log.measured(["step": .integer(step + 1), "loss": 0.25])
      try log.finish()
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      #expect(names.count == contents.count + 1)
      #expect(names.allSatisfy { $0.hasSuffix(".node_1") })
      contents = try names.map {
        Array(try Data(contentsOf: folder.appendingPathComponent($0)))
      }
      // The last by name is the one just written.
      let void = Event(wallTime: time, step: step + 1, content: .start).record
      let version = Event(wallTime: time, step: 0, content: .fileVersion).record
      let last = try #require(contents.last)
      #expect(last.starts(with: version + void))
      let scalar = Event(
        wallTime: time, step: step + 1,
        content: .values([.init(tag: "training/loss", content: .scalar(0.25))])
      ).record
      #expect(last.suffix(scalar.count) == scalar[...])
    }
  }

  /// A name in the folder whose time no clock tells is not counted on from.
  @Test func anotherFilesNameCannotStopTheLog() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rfm-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data().write(to: folder.appendingPathComponent("events.out.tfevents.\(Int.max).odd"))
    let file = try EventFile(in: folder.path, host: "a", time: Date(timeIntervalSince1970: 2e9))
    #expect(file.path.hasSuffix("/events.out.tfevents.2000000000.a"))
  }

  @Test func anExampleIsShownWithItsMapAndWhatIsLeft() {
    let image = RGBImage(width: 2, height: 2, pixels: Array(0..<12))
    let erased = RGBImage(width: 2, height: 2, pixels: [UInt8](repeating: 200, count: 12))
    let picture = TensorBoardLog.picture(
      of: TrainingExample(
        method: "swap", image: image, attention: [0, 0, 0, 1], erased: erased))
    #expect(picture.width == 3 * 2 + 2 * 4 && picture.height == 2)
    #expect(picture.cropped(left: 0, top: 0, width: 2, height: 2) == image)
    #expect(picture.cropped(left: 12, top: 0, width: 2, height: 2) == erased)
  }
}
