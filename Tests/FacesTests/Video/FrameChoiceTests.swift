import Foundation
import Testing

@testable import Faces

@Suite struct FrameChoiceTests {
  /// `choices.json` is NumPy's `linspace(0, total - 1, count, dtype=int)`.
  @Test func theFramesAreThoseOfLinspace() throws {
    let choices = try JSONDecoder().decode(
      [Choice].self, from: Data(contentsOf: VideoGolden.folder.appending(path: "choices.json")))
    #expect(choices.count > 50)
    for choice in choices {
      #expect(
        FrameChoice.evenly(choice.count).indices(of: choice.total) == choice.indices,
        "\(choice.count) of \(choice.total)")
    }
  }

  @Test func allAreTakenWhereThereAreNoMore() {
    #expect(FrameChoice.all.indices(of: 4) == [0, 1, 2, 3])
    #expect(FrameChoice.evenly(4).indices(of: 4) == [0, 1, 2, 3])
    #expect(FrameChoice.evenly(32).indices(of: 2) == [0, 1])
    #expect(FrameChoice.evenly(1).indices(of: 1) == [0])
    #expect(FrameChoice.evenly(32).indices(of: 0) == [])
    #expect(FrameChoice.all.indices(of: 0) == [])
  }

  @Test func firstAndLastAreAmongThemAndNoneIsTakenTwice() {
    for total in 2...400 {
      for count in [2, 3, 5, 10, 32, 100] where count < total {
        let indices = FrameChoice.evenly(count).indices(of: total)
        #expect(indices.count == count && indices.first == 0 && indices.last == total - 1)
        #expect(zip(indices, indices.dropFirst()).allSatisfy { $0 < $1 })
      }
    }
  }

  private struct Choice: Decodable {
    let total: Int
    let count: Int
    let indices: [Int]

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      total = try values.decode(Int.self)
      count = try values.decode(Int.self)
      indices = try values.decode([Int].self)
    }
  }
}
