import Foundations
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import FaceShards
@testable import Training

@Suite struct SampleOrderVersionTests {
  private func refusal(_ details: [JSON.Member], _ kind: SampleOrderKind) -> String? {
    do {
      try TrainingData.requireOrder(details, path: "runs/a/checkpoints/step-00000008", kind: kind)
      return nil
    } catch { return "\(error)" }
  }

  private let present = [
    JSON.Member(TrainingData.orderName, .integer(RunVersions.sampleOrder))
  ]

  @Test(arguments: [SampleOrderKind.uniform, .balanced])
  func aCheckpointOfAnotherOrderIsRefusedByName(kind: SampleOrderKind) throws {
    #expect(refusal(present, kind) == nil)
    // Before orders had versions, and a later one.
    let older = try #require(refusal([], kind))
    #expect(older.contains("step-00000008") && older.contains("sample order 1"))
    #expect(older.contains("model.weights: runs/a/checkpoints/step-00000008/model.safetensors"))
    let later = try #require(
      refusal([.init(TrainingData.orderName, .integer(RunVersions.sampleOrder + 1))], kind))
    #expect(later.contains("sample order \(RunVersions.sampleOrder + 1)"))
  }

  @Test func whatIsReadAsStoredGoesOnFromEveryVersion() {
    #expect(refusal([], .sequential) == nil)
    #expect(refusal(present, .sequential) == nil)
  }
}
