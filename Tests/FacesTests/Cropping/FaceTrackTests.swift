import Testing

@testable import Faces

@Suite struct FaceTrackTests {
  private func box(_ x: Float, side: Float = 50, y: Float = 40) -> FaceBox {
    FaceBox(left: x, top: y, right: x + side - 1, bottom: y + side - 1, score: 1)
  }

  @Test func theLargestFaceIsTheFirstAndIsFollowed() {
    var track = FaceTrack()
    #expect(track.choose(among: []) == nil)
    #expect(track.choose(among: [box(10), box(200, side: 80)]) == 1)
    // The other comes nearer to the camera, and the order changes.
    #expect(track.choose(among: [box(10, side: 120), box(220, side: 78)]) == 1)
    #expect(track.choose(among: [box(240, side: 70), box(20, side: 150)]) == 0)
    #expect(track.last == box(240, side: 70))
  }

  @Test func nobodyElseIsTakenWhileTheFaceIsAway() {
    var track = FaceTrack()
    #expect(track.choose(among: [box(200)]) == 0)
    for _ in 0..<FaceTrack.patience - 1 { #expect(track.choose(among: [box(20)]) == nil) }
    // It comes back.
    #expect(track.choose(among: [box(20), box(210)]) == 1)
    for _ in 0..<FaceTrack.patience { #expect(track.choose(among: [box(20)]) == nil) }
    // It does not: whoever is there is followed from then on.
    #expect(track.choose(among: [box(20), box(300, side: 40)]) == 0)
    #expect(track.choose(among: [box(25)]) == 0)
  }

  @Test func aHeadMayMoveByItsWidthAndNotByTwo() {
    for (shift, follows) in [(50, true), (66, true), (68, false), (110, false)] as [(Float, Bool)] {
      var track = FaceTrack()
      _ = track.choose(among: [box(100)])
      #expect((track.choose(among: [box(100 + shift)]) != nil) == follows, "\(shift)")
    }
  }

  @Test func aMaskDecidesWhoIsForged() {
    var pixels = [UInt8](repeating: 0, count: 400 * 100)
    for y in 50..<70 { for x in 210..<230 { pixels[y * 400 + x] = 255 } }
    let mask = GreyMask(width: 400, height: 100, pixels: pixels)
    let empty = GreyMask(width: 400, height: 100, pixels: .init(repeating: 0, count: 400 * 100))
    var track = FaceTrack()
    #expect(track.choose(among: [box(10, side: 90), box(200)], mask: empty) == 0)
    #expect(track.choose(among: [box(10, side: 90), box(200)], mask: mask) == 1)
    // Followed from there where the next mask is empty.
    #expect(track.choose(among: [box(10, side: 90), box(205)], mask: empty) == 1)
    // The forged face is not found: nobody else is called forged.
    #expect(track.choose(among: [box(10, side: 90)], mask: mask) == nil)
  }

  @Test func boxesOutsideTheMaskCountNothing() {
    let mask = GreyMask(width: 3, height: 2, pixels: .init(repeating: 255, count: 6))
    #expect(mask.count(in: FaceBox([-5, -5, 100, 100])) == 6)
    #expect(mask.count(in: FaceBox([2, 1, 9, 9])) == 1)
    #expect(mask.count(in: FaceBox([-9, -9, -2, -2])) == 0)
    #expect(mask.count(in: FaceBox([5, 5, 9, 9])) == 0)
  }
}
