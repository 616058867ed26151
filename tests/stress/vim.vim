" Lists, dictionaries, substitutions, undo and sorting until the file named by $STOP exists; every round must yield the
" same.
set nocompatible noswapfile
function Round()
  enew!
  call setline(1, map(range(200), 'printf("%03d line %s", v:val * 7 % 200, repeat("x", v:val % 13))'))
  %s/line \(x*\)/\1 enil/e
  sort!
  normal! ggdd2p
  undo
  let seen = {}
  for line in getline(1, '$')
    let key = matchstr(line, '\d\+')
    let seen[key] = get(seen, key, 0) + strlen(line)
  endfor
  try
    call Missing()
  catch /E117/
    let seen['caught'] = 1
  endtry
  return sha256(json_encode(seen) . join(getline(1, '$'), "\n"))
endfunction
let first = Round()
call writefile(['ready'], '/dev/stdout')
while !filereadable($STOP)
  if Round() !=# first
    cquit
  endif
endwhile
call writefile(['right'], '/dev/stdout')
qall!
