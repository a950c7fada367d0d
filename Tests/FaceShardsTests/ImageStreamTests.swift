import Foundation
import Synchronization
import TestSupport
import Testing

@testable import FaceShards
@testable import Images

@Suite struct ImageStreamTests {
  private func folder(_ count: Int) throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    for index in 0..<count {
      let image = KnownImage.pattern(width: 3 + index, height: 4)
      try folder.write(
        String(format: "%03d.ppm", index), Array("P6 \(image.width) 4 255\n".utf8) + image.pixels)
    }
    return folder
  }

  @Test(arguments: [(1, 1), (4, 2), (7, 3), (100, 5)])
  func imagesComeInOrderWhateverTheBatchAndThreads(batch: Int, threads: Int) throws {
    let folder = try folder(23)
    let stream = try ImageStream(inputs: [folder.path + "/005.ppm", folder.path])
    #expect(stream.count == 24)
    var widths: [Int] = []
    try stream.forEach(batch: batch, threads: threads) { items in
      #expect(items.count <= batch)
      for item in items {
        #expect(item.index == widths.count)
        widths.append(try item.image.get().width)
      }
    }
    #expect(widths == [8] + (3..<26).map { $0 })
  }

  @Test func ranksShareTheImages() throws {
    let folder = try folder(10)
    var seen: [Int] = []
    for rank in 0..<3 {
      let stream = try ImageStream(inputs: [folder.path], rank: rank, rankCount: 3)
      var own: [Int] = []
      try stream.forEach(batch: 2) { own += $0.map(\.index) }
      #expect(own.count == stream.count)
      seen += own
    }
    #expect(seen.sorted() == Array(0..<10))
  }

  @Test func whatIsNotAnImageIsAnItemWithItsError() throws {
    let folder = try folder(2)
    try folder.write("000-notes.txt", Array("hello".utf8))
    var described: [String] = []
    try ImageStream(inputs: [folder.path]).forEach(batch: 8) { items in
      for item in items {
        switch item.image {
        case .success(let image): described.append("\(image.width)")
        case .failure(let error): described.append(error.description)
        }
      }
    }
    #expect(
      described == [
        "\(folder.path)/000-notes.txt: not an image (\(ImageFormat.readable))", "3", "4",
      ])
    let missing = try #require(throws: ImageError.self) { try ImageStream(inputs: ["/nowhere"]) }
    #expect(missing.description.hasPrefix("/nowhere: can't be opened"))
  }

  @Test func imagesAreDecodedOneBatchAheadAndNoFurther() throws {
    let folder = try folder(40)
    let prepared = Mutex(0)
    @Sendable func count(_ image: RGBImage) -> RGBImage {
      prepared.withLock { $0 += 1 }
      return image
    }
    var handed = 0
    try ImageStream(inputs: [folder.path]).forEach(batch: 4, threads: 2, prepare: count) { items in
      handed += items.count
      #expect(prepared.withLock { $0 } <= handed + 4)
    }
    #expect(handed == 40)
  }

  @Test func anErrorOfTheCallerEndsTheStream() throws {
    struct Enough: Error {}
    let folder = try folder(12)
    var batches = 0
    #expect(throws: Enough.self) {
      try ImageStream(inputs: [folder.path]).forEach(batch: 3) { _ in
        batches += 1
        if batches == 2 { throw Enough() }
      }
    }
    #expect(batches == 2)
  }
}
