! build: ! command -v gfortran || gfortran -g -O0 target.f90 -o target
! Arrays that are descriptors: where the elements are, how far apart and how many is for the program to say.
module shapes
  implicit none
  type table
    integer :: id
    integer, allocatable :: cells(:)
  end type
contains
  subroutine show(row, square, every, held, none)
    integer, allocatable, intent(in) :: row(:)
    integer, intent(in) :: square(:, :)
    integer, intent(in) :: every(:)
    type(table), intent(in) :: held
    integer, allocatable, intent(in) :: none(:)
    if (row(1) + square(1, 1) + every(1) + held%cells(1) == 0 .or. allocated(none)) stop 1
  end subroutine
end module
program main
  use shapes
  implicit none
  integer, allocatable :: row(:), none(:)
  integer :: square(2, 3), all(6), i
  type(table) :: held
  allocate(row(4), held%cells(2))
  row = [(10 * i, i = 1, 4)]
  square = reshape([1, 2, 3, 4, 5, 6], [2, 3])
  all = [(100 * i, i = 1, 6)]
  held%id = 7
  held%cells = [8, 9]
  call show(row, square, all(2:6:2), held, none)
end program
