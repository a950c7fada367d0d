import Foundations
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import Training

@Suite struct MultiplyRecordTests {
  private func record(
    _ details: [JSON.Member], _ versions: [JSON.Member]
  ) -> SettledMultiplies.Record {
    let configuration = Configuration()
    return SettledMultiplies.Record(
      CheckpointState(
        step: 1, epoch: 0, position: 0, seed: 0, configurationDigest: "", ranks: 1,
        detector: .init(configuration), details: details),
      environment: .object([.init("versions", .object(versions))]))
  }

  private let inCheckpoint = [
    JSON.Member("float32_multiply", .text("OpenBLAS")),
    JSON.Member("bfloat16_multiply", .text("packed")),
  ]
  private let inEnvironment = [
    JSON.Member("float32_multiply", .text("oneDNN")),
    JSON.Member("bfloat16_multiply", .text("widened")),
  ]

  @Test func theCheckpointCountsBeforeTheEnvironment() {
    let both = record(inCheckpoint, inEnvironment)
    #expect(both.float32 == .openblas && both.bfloat16 == .packed)
    let older = record([], inEnvironment)
    #expect(older.float32 == .onednn && older.bfloat16 == .widened)
    #expect(record([], []) == SettledMultiplies.Record())
  }

  @Test func waysThatThisVersionDoesNotKnowAreNone() {
    let unknown = record(
      [
        .init("float32_multiply", .text("another")), .init("bfloat16_multiply", .integer(2)),
      ], inEnvironment)
    #expect(unknown == SettledMultiplies.Record())
  }
}
